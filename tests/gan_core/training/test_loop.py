import contextlib
import logging
import re

import numpy as np
import pytest
from datasets import blobs, write_dataset
from recipes import small_training

from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.training import diversity
from gan_core.training.batches import RealBatches
from gan_core.training.checkpoints import Checkpoints
from gan_core.training.guards import Diverged
from gan_core.training.loop import Training
from gan_core.training.state import Gan


class Recorder:
    """Hooks that record their calls, and ask to stop after `stop_after` images."""

    def __init__(self, stop_after=10**9):
        self.rows, self.samples, self.seen, self.stop_after = [], {}, 0, stop_after

    def on_step(self, images_seen):
        self.seen = images_seen

    def on_row(self, row):
        self.rows.append(row)

    def on_samples(self, images_seen, images):
        self.samples[images_seen] = images

    def stop_requested(self):
        return self.seen >= self.stop_after


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "prepared"
    return PreparedDataset(write_dataset(folder, blobs(100), blobs(10, seed=1))).split("train")


@contextlib.contextmanager
def training(images, folder, score=None, **changes):
    config = small_training(**changes)
    with Checkpoints(folder, config.checkpoints_kept) as checkpoints:
        gan = Gan(config, (16, 16, 1))
        yield Training(gan, RealBatches(images, config), checkpoints, score and (lambda: score(gan)))


def poison(gan):
    gan.discriminator.weights[0].assign(np.full(gan.discriminator.weights[0].shape, np.nan))


def without_rates(rows):
    return [{name: value for name, value in row.items() if name != "system/examples_per_second"} for row in rows]


def test_rows_grids_and_scores_do_not_depend_on_the_steps_per_execution(images, tmp_path, monkeypatch):
    changes = {"steps": 23, "log_every_images": 40, "samples_every_images": 56, "score_every_images": 72}

    def run(at_once):
        folder = tmp_path / str(at_once)
        with training(
            images, folder, lambda _: {"scores/quick_fd_test": 1.0}, steps_per_execution=at_once, **changes
        ) as one:
            executed = []
            read = one._batches.batches
            monkeypatch.setattr(
                one._batches, "batches", lambda seen, steps: (executed.append(steps), read(seen, steps))[1]
            )
            hooks = Recorder()
            one.run(hooks)
        return executed, hooks, one

    singles, by_one, first = run(1)
    threes, by_three, second = run(3)
    assert singles == [1] * 23
    # Rows come after steps 5, 10, 15 and 20, grids after 7, 14 and 21, scores after 9 and 18. Three steps in one call
    # therefore fit only after 0, 10 and 15.
    assert threes == [3, 1, 1, 1, 1, 1, 1, 1, 3, 1, 1, 3, 1, 1, 1, 1, 1]
    assert [row["images_seen"] for row in by_one.rows] == [40, 72, 80, 120, 144, 160, 184]
    assert without_rates(by_three.rows) == without_rates(by_one.rows)
    assert list(by_three.samples) == list(by_one.samples) == [0, 56, 112, 168]
    for name, array in second.gan.state().items():
        np.testing.assert_array_equal(array, first.gan.state()[name], err_msg=name)


def test_a_stopped_and_extended_training_gives_the_same_weights(images, tmp_path):
    with training(images, tmp_path / "whole") as whole:
        hooks = Recorder()
        assert whole.run(hooks)
    assert [row["images_seen"] for row in hooks.rows] == [40, 80, 120, 160, 200, 240]
    assert sorted(hooks.samples) == [0, 104, 200]
    assert hooks.samples[0].shape == (64, 16, 16, 1)

    with training(images, tmp_path / "broken", steps=12) as shorter:
        assert not shorter.run(Recorder(stop_after=56))  # in the middle of an interval
        assert shorter.run(Recorder())
        assert shorter.history[-1]["images_seen"] == 96  # a row for the 16 images since the last one
    with training(images, tmp_path / "broken") as longer:
        longer.resume()
        assert longer.gan.images_seen == 96
        assert [row["images_seen"] for row in longer.history] == [40, 80]
        assert longer.run(Recorder())
    assert without_rates(longer.history) == without_rates(whole.history)
    ours, theirs = longer.gan.state(), whole.gan.state()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    np.testing.assert_array_equal(longer.samples.grid(), whole.samples.grid())


def test_a_training_outside_the_checkpoints_with_statement_is_refused_before_the_first_step(images, tmp_path):
    with training(images, tmp_path, steps=7) as one:
        pass
    for use in (one.run, one.resume):
        with pytest.raises(InvalidInput, match="Checkpoints must be used inside their `with` statement"):
            use()
    assert one.gan.images_seen == 0


def test_a_training_resumes_only_from_a_checkpoint_of_a_training_with_the_same_networks(images, tmp_path):
    with training(images, tmp_path, steps=3) as one:
        one.run(Recorder())
    place = re.escape(str(tmp_path))
    with training(images, tmp_path, steps=3, generator_width=16) as wider:
        with pytest.raises(InvalidInput, match=f"the newest checkpoint in {place}, where the shape of "):
            wider.resume()
        assert wider.gan.images_seen == 0
    with training(images, tmp_path) as longer:
        longer._checkpoints.write(32, one.gan.state())
        with pytest.raises(InvalidInput, match=f"a checkpoint of a training. Received: .* {place}, without rows"):
            longer.resume()


def test_a_finished_training_gives_the_same_rows_again(images, tmp_path):
    with training(images, tmp_path, steps=7) as first:
        first.run(Recorder())
    with training(images, tmp_path, steps=7) as again:
        again.resume()
        assert again.run(Recorder())
    assert without_rates(again.history) == without_rates(first.history)


def test_the_error_for_a_loss_that_is_not_finite_names_the_last_good_checkpoint(images, tmp_path):
    with training(images, tmp_path, steps=5) as good:
        good.run(Recorder())
    with training(images, tmp_path, log_every_images=16, recovery_learning_rate_factor=0.0) as bad:
        bad.resume()
        poison(bad.gan)
        with pytest.raises(Diverged) as error:
            bad.run(Recorder())
    (last,) = tmp_path.glob("*.npz")
    assert "Received: losses/generator=nan at step 6 (48 examples)" in str(error.value)
    assert str(error.value).endswith(f"The last good checkpoint: {last}.")


def test_a_diverged_training_resumes_once_with_a_lower_learning_rate(images, tmp_path, caplog):
    with training(images, tmp_path, steps=5) as good:
        good.run(Recorder())

    class Poisoner(Recorder):
        """Sets a weight to NaN after 64 images, at most `times` times."""

        def __init__(self, gan, times):
            super().__init__()
            self.gan, self.times = gan, times

        def on_step(self, images_seen):
            if images_seen == 64 and self.times:
                self.times -= 1
                poison(self.gan)

    changes = {"log_every_images": 16, "recovery_learning_rate_factor": 0.25, "steps": 12, "learning_rate": 0.002}
    changes |= {"schedule": "linear", "schedule_images": 160, "discriminator_learning_rate_factor": 0.5}
    with caplog.at_level(logging.WARNING), training(images, tmp_path, **changes) as once:
        once.resume()
        assert once.run(Poisoner(once.gan, times=1))
    assert [row["images_seen"] for row in once.history] == [40, 48, 64, 80, 96]
    assert [row["guards/learning_rate_scale"] for row in once.history] == [1, 0.25, 0.25, 0.25, 0.25]
    rates = [0.25 * 0.002 * (1 - seen / 160) for seen in (48, 64, 80, 96)]
    assert [row["guards/generator_learning_rate"] for row in once.history[1:]] == pytest.approx(rates)
    assert [2 * row["guards/discriminator_learning_rate"] for row in once.history[1:]] == pytest.approx(rates)
    assert "continues from there, at 40 examples, with 0.25 times the learning rates." in caplog.text
    with training(images, tmp_path, **changes, checkpoint_every_seconds=0) as resumed:  # the rate stays low
        resumed.resume()
        assert resumed.gan.learning_rate_scale.numpy() == 0.25

    with training(images, tmp_path / "another", steps=5) as good:
        good.run(Recorder())
    with training(images, tmp_path / "another", **changes) as twice:
        twice.resume()
        with pytest.raises(Diverged):
            twice.run(Poisoner(twice.gan, times=2))


def test_the_best_generator_is_kept_and_the_training_stops_without_improvement(images, tmp_path):
    scores = {80: 3.0, 160: 1.0, 240: 2.0, 320: 1.5, 400: 0.5}
    changes = {"steps": 100, "log_every_images": 64, "score_every_images": 80, "patience_images": 160}
    weights = {}

    def run(folder, hooks):
        def score(gan):
            weights[gan.images_seen] = gan.averaged_generator.get_weights()
            return {"scores/quick_fd_test": scores[gan.images_seen], "scores/quick_recall_test": 0.5}

        with training(images, folder, score, **changes) as scored:
            scored.resume()
            return scored, scored.run(hooks)

    whole, finished = run(tmp_path / "whole", Recorder())
    assert finished
    assert whole.gan.images_seen == 320
    shown = {row["images_seen"]: row.get("scores/quick_fd_test") for row in whole.history}
    assert shown == {64: None, 80: 3.0, 128: None, 160: 1.0, 192: None, 240: 2.0, 256: None, 320: 1.5}
    assert whole.best.load_into(whole.gan) == 160
    for ours, theirs in zip(whole.gan.averaged_generator.get_weights(), weights[160], strict=True):
        np.testing.assert_array_equal(ours, theirs)

    assert not run(tmp_path / "broken", Recorder(stop_after=248))[1]
    broken, finished = run(tmp_path / "broken", Recorder())
    assert finished
    assert without_rates(broken.history) == without_rates(whole.history)
    assert broken.best.load_into(broken.gan) == 160
    again, finished = run(tmp_path / "broken", Recorder())  # already finished: no step is made
    assert finished
    assert again.gan.images_seen == 320


@pytest.mark.parametrize("steps", [15, 16, 20], ids=["at a row", "between", "at a score"])
def test_the_end_is_scored_and_an_extended_training_has_the_rows_of_an_uninterrupted_one(images, tmp_path, steps):
    changes = {"log_every_images": 40, "score_every_images": 80}

    def score(gan):  # the best score is at the end of the shorter training
        return {"scores/quick_fd_test": float(abs(gan.images_seen - 8 * steps))}

    def run(folder, steps, stop_after=10**9):
        with training(images, folder, score, steps=steps, **changes) as one:
            one.resume()
            one.hooks = Recorder(stop_after)
            assert one.run(one.hooks) == (stop_after > 8 * steps)
        return one

    shorter = run(tmp_path / "broken", steps)
    assert [row["images_seen"] for row in shorter.history if "scores/quick_fd_test" in row][-1] == 8 * steps
    assert [row["images_seen"] for row in shorter.history].count(8 * steps) == 1
    again = run(tmp_path / "broken", steps)
    assert without_rates(again.history) == without_rates(shorter.history)
    longer, whole = run(tmp_path / "broken", 30), run(tmp_path / "whole", 30)
    assert without_rates(longer.history) == without_rates(whole.history)
    assert whole.best.load_into(whole.gan) == longer.best.load_into(longer.gan) == {15: 80, 16: 160, 20: 160}[steps]
    assert shorter.best.load_into(shorter.gan) == 8 * steps
    run(tmp_path / "stopped", 30, stop_after=8 * steps)  # its checkpoint has the row without a score
    stopped = run(tmp_path / "stopped", steps)
    assert without_rates(stopped.history) == without_rates(shorter.history)
    assert stopped.best.load_into(stopped.gan) == 8 * steps
    reported = [row for row in shorter.hooks.rows if row["images_seen"] == 8 * steps]
    assert "scores/quick_fd_test" in reported[-1]


def test_a_score_does_not_change_the_training(images, tmp_path):
    with training(images, tmp_path / "plain", steps=20) as plain:
        plain.run(Recorder())
    with training(
        images, tmp_path / "scored", lambda _: {"scores/quick_fd_test": 1.0}, steps=20, score_every_images=80
    ) as scored:
        scored.run(Recorder())
    ours, theirs = scored.gan.state(), plain.gan.state()
    for name in ours:
        if not name.startswith("totals"):
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_a_checkpoint_with_a_value_that_is_not_finite_is_never_written(images, tmp_path):
    with training(images, tmp_path, steps=1) as bad:
        # Batch norm's moving variance is not used in training, so no loss shows the fault.
        variance = bad.gan.discriminator.weights[-3]
        assert not variance.trainable
        variance.assign(np.full(variance.shape, np.inf))
        with pytest.raises(Diverged, match=r"Received: discriminator/\d+=inf at step 1 .*: none\.$"):
            bad.run(Recorder())
    assert not list(tmp_path.glob("*.npz"))


def test_a_collapse_gives_one_warning_and_the_training_continues(images, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(diversity, "WARM_UP_IMAGES", 80)
    # The L2 loss against unpaired images is lowest for the mean image, for all latents.
    changes = {"reconstruction": "l2", "reconstruction_weight": 1000.0, "learning_rate": 0.01, "steps": 60}
    with caplog.at_level(logging.WARNING), training(images, tmp_path, collapse_diversity=0.9, **changes) as collapsing:
        assert collapsing.run(Recorder())
    assert collapsing.history[0]["guards/collapsed"] == 0
    assert collapsing.history[-1]["guards/collapsed"] == 1
    ours = [record.message for record in caplog.records if record.name.startswith("gan_core.")]
    assert [message[:27] for message in ours] == [
        "The l2 reconstruction term ",
        "The generator has collapsed",
        "The discriminator is winnin",
    ]


def test_one_training_image_is_enough(tmp_path):
    folder = write_dataset(tmp_path / "data", blobs(1), blobs(1))
    with training(PreparedDataset(folder).split("train"), tmp_path / "checkpoints", steps=5) as single:
        assert single.run(Recorder())
    assert single.history[-1]["guards/diversity"] == 1


def test_training_brings_the_samples_closer_to_the_data(images, tmp_path):
    """Compares the mean images: a blob's position varies, but its light is concentrated in the middle."""
    real = images.images(np.arange(images.count)).mean(axis=0)
    changes = {"steps": 250, "batch_size": 16, "log_every_images": 4000, "learning_rate": 0.001}
    with training(images, tmp_path, generator_width=16, discriminator_width=16, **changes) as learning:
        hooks = Recorder()
        learning.run(hooks)
    untrained, trained = (np.abs(x.mean(axis=0) - real).mean() for x in (hooks.samples[0], learning.samples.grid()))
    assert trained < 0.3 * untrained
    assert learning.history[-1]["guards/diversity"] > 0.5
