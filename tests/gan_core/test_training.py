import contextlib
import logging

import numpy as np
import pytest
from datasets import blobs, write_dataset
from recipes import small_training

from gan_core import diversity
from gan_core.checkpoints import Checkpoints
from gan_core.data.prepared import PreparedDataset
from gan_core.gan import Gan
from gan_core.training import SAMPLES, Diverged, Training


class Recorder:
    """Hooks that remember, and ask to stop after `stop_after` images."""

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
def training(images, folder, **changes):
    config = small_training(**changes)
    with Checkpoints(folder, config.checkpoints_kept) as checkpoints:
        yield Training(Gan(config, (16, 16, 1), xla=False, mixed_precision=False), images, checkpoints)


def without_rates(rows):
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


def test_a_stopped_and_a_longer_training_go_the_way_of_one_that_was_neither(images, tmp_path):
    with training(images, tmp_path / "whole") as whole:
        hooks = Recorder()
        assert whole.run(hooks)
    assert [row["images_seen"] for row in hooks.rows] == [40, 80, 120, 160, 200, 240]
    assert sorted(hooks.samples) == [0, 104, 200]
    assert hooks.samples[0].shape == (SAMPLES, 16, 16, 1)

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
    np.testing.assert_array_equal(longer.samples(), whole.samples())


def test_a_finished_training_gives_the_same_rows_again(images, tmp_path):
    with training(images, tmp_path, steps=7) as first:
        first.run(Recorder())
    with training(images, tmp_path, steps=7) as again:
        again.resume()
        assert again.run(Recorder())
    assert without_rates(again.history) == without_rates(first.history)


def test_a_loss_that_is_not_finite_stops_and_names_the_last_good_checkpoint(images, tmp_path):
    with training(images, tmp_path, steps=5) as good:
        good.run(Recorder())
    with training(images, tmp_path, log_every_images=16) as bad:
        bad.resume()
        bad.gan.discriminator.weights[0].assign(np.full(bad.gan.discriminator.weights[0].shape, np.nan))
        with pytest.raises(Diverged) as error:
            bad.run(Recorder())
    (last,) = tmp_path.glob("*.npz")
    assert "Received: generator_loss=nan at step 6 (48 images)" in str(error.value)
    assert str(error.value).endswith(f"The last good checkpoint: {last}")


def test_a_checkpoint_with_a_value_that_is_not_finite_is_never_written(images, tmp_path):
    with training(images, tmp_path, steps=1) as bad:
        # Batch norm's moving variance is not read while training, so no loss tells.
        variance = bad.gan.discriminator.weights[-3]
        assert not variance.trainable
        variance.assign(np.full(variance.shape, np.inf))
        with pytest.raises(Diverged, match=r"Received: discriminator/\d+=inf at step 1 .*: none$"):
            bad.run(Recorder())
    assert not list(tmp_path.glob("*.npz"))


def test_a_collapse_is_said_once_and_the_training_goes_on(images, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(diversity, "WARM_UP_IMAGES", 80)
    # The squared distance to unpaired images is least for the mean image, whatever the latents.
    changes = {"reconstruction": "l2", "reconstruction_weight": 1000.0, "learning_rate": 0.01, "steps": 60}
    with caplog.at_level(logging.WARNING), training(images, tmp_path, collapse_diversity=0.9, **changes) as collapsing:
        assert collapsing.run(Recorder())
    assert collapsing.history[0]["collapsed"] == 0
    assert collapsing.history[-1]["collapsed"] == 1
    ours = [record.message for record in caplog.records if record.name == "gan_core.training"]
    assert [message[:27] for message in ours] == [
        "The l2 reconstruction term ",
        "The generator has collapsed",
    ]


def test_one_image_is_enough(tmp_path):
    folder = write_dataset(tmp_path / "data", blobs(1), blobs(1))
    with training(PreparedDataset(folder).split("train"), tmp_path / "checkpoints", steps=5) as single:
        assert single.run(Recorder())
    assert single.history[-1]["diversity"] == 1


def test_training_brings_the_samples_closer_to_the_data(images, tmp_path):
    """By the mean image: a blob's place varies, but its light lies in the middle."""
    real = images.images(np.arange(images.count)).mean(axis=0)
    changes = {"steps": 250, "batch_size": 16, "log_every_images": 4000, "learning_rate": 0.001}
    with training(images, tmp_path, generator_width=16, discriminator_width=16, **changes) as learning:
        hooks = Recorder()
        learning.run(hooks)
    untrained, trained = (np.abs(x.mean(axis=0) - real).mean() for x in (hooks.samples[0], learning.samples()))
    assert trained < 0.3 * untrained
    assert learning.history[-1]["diversity"] > 0.5
