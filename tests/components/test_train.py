"""The train command in processes that the tests really kill."""

import argparse
import base64
import csv
import json
import os
import random
import re
import signal
import socket
import sqlite3
import time
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import blobs, write_dataset
from modalities import IMAGES_FIRST
from recipes import small_parameters, small_training
from train_commands import finish, newest_checkpoint, outcome, start, wait_for, wait_for_a_new_checkpoint

from components.storage import output_kinds as kinds
from components.storage.outputs import Output
from components.training.build import training_images
from components.training.outputs import write_outputs
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.export import load_generator, read_metadata
from gan_core.training.course import Course
from gan_core.training.describe import describe_generator
from gan_core.training.state import Gan


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "prepared", blobs(100), blobs(10, seed=1))


def tracked(folder, query):
    with sqlite3.connect(folder / "mlflow.db") as database:
        return database.execute(query).fetchall()


@IMAGES_FIRST
def test_a_training_killed_repeatedly_gives_the_same_weights(example, tmp_path):
    dataset = example.prepared(tmp_path / "of")
    # checkpoint_every_seconds changes only when checkpoints are written, so both runs are the same training.
    intervals = {"log_every_images": 800, "samples_every_images": 1600, "steps_per_execution": 2}
    parameters = small_parameters(**example.train, steps=400, **intervals)
    often = json.dumps({**parameters, "checkpoint_every_seconds": 0.05})
    undisturbed = start(tmp_path, dataset, json.dumps(parameters))
    code, errors = finish(undisturbed)
    assert code == 0, errors
    expected_rows, expected_weights, expected_samples, _ = outcome(tmp_path)

    disturbed = tmp_path / "disturbed"
    disturbed.mkdir()
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        process = start(disturbed, dataset, often)
        wait_for_a_new_checkpoint(disturbed, process)
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(number)
        code, errors = finish(process)
        assert code == (75 if number == signal.SIGTERM else -number), errors
        assert not (disturbed / "model").exists()
        if number == signal.SIGTERM:
            assert "error: The training was told to stop (SIGTERM) after" in errors
            assert "Traceback" not in errors
    code, errors = finish(start(disturbed, dataset, often))
    assert code == 0, errors
    assert re.search(r"The training resumes after [1-9]\d* of 3200 (images|clips|texts) \(", errors)

    rows, weights, samples, metadata = outcome(disturbed)
    assert rows == expected_rows
    for ours, theirs in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert samples == expected_samples
    assert metadata.images_seen == 3200
    assert metadata.parameters == {
        **parameters,
        "checkpoint_every_seconds": 0.05,
        "conditional": "on",
    }  # the data have labels
    assert metadata.tracking_run_id is not None
    names = {path.name for path in disturbed.iterdir() if "mlflow.db" not in path.name}
    assert names == {"checkpoints", "history.csv", "mlruns", "model", "samples.png"}


def test_ctrl_c_and_divergence_end_without_a_traceback(dataset, tmp_path):
    parameters = small_parameters(steps=10**6, checkpoint_every_seconds=0.05)
    process = start(tmp_path, dataset, json.dumps(parameters))
    wait_for_a_new_checkpoint(tmp_path, process)
    process.send_signal(signal.SIGINT)
    code, errors = finish(process)
    assert code == 130
    assert re.fullmatch(
        r"error: The training was told to stop \(Ctrl-C\) after \d+ images\. .*", errors.splitlines()[-1]
    )

    diverging = small_parameters(learning_rate=1e30, ema_half_life_images=0.0)
    code, errors = finish(start(tmp_path, dataset, json.dumps(diverging)))
    assert code == 1
    assert tracked(tmp_path, "SELECT status FROM runs ORDER BY start_time") == [("KILLED",), ("FAILED",)]
    assert "error: Losses and weights must stay finite" in errors
    assert "The last good checkpoint: none" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "model").exists()


def test_of_two_equal_trainings_one_waits_and_then_has_the_same_outputs_and_run(dataset, tmp_path):
    config = json.dumps(small_parameters(steps=300, checkpoint_every_seconds=0.05))
    first = start(tmp_path, dataset, config)
    wait_for_a_new_checkpoint(tmp_path, first)
    first.send_signal(signal.SIGSTOP)
    (tmp_path / "second").mkdir()
    paths = {name: tmp_path / "second" / name for name in ("model", "history.csv", "samples.png")}
    paths = {name.partition(".")[0]: path for name, path in paths.items()}
    stopped, second = (start(tmp_path, dataset, config, **paths) for _ in range(2))
    for process in (stopped, second):
        said = wait_for(
            process, "WARNING: Another process trains with these checkpoints; this one waits until it ends."
        )
        assert f"Received: {tmp_path}/checkpoints/" in said
    stopped.send_signal(signal.SIGTERM)
    code, errors = finish(stopped)
    assert code == 75
    assert errors == "error: The training was told to stop (SIGTERM) while it waited for another process.\n"
    first.send_signal(signal.SIGCONT)
    for process in (first, second):
        code, errors = finish(process)
        assert code == 0, errors
    assert "The training resumes after 2400 of 2400 images" in errors
    ours, theirs = outcome(tmp_path), outcome(tmp_path / "second")
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert (ours[0], *ours[2:]) == (theirs[0], *theirs[2:])
    assert tracked(tmp_path, "SELECT status FROM runs") == [("FINISHED",)]


def test_a_volume_of_another_user_is_refused_with_the_job_that_changes_it(dataset, tmp_path):
    (tmp_path / "volume").mkdir(mode=0o500)
    without_roots_rights = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.getuid() == 0 else []
    process = start(
        tmp_path, dataset, json.dumps(small_parameters()), prefix=without_roots_rights, checkpoints="volume"
    )
    code, errors = finish(process)
    assert code == 2, errors
    said = errors.splitlines()[-1]
    assert said.startswith("error: The folder of the checkpoints must be writable. On Kubernetes, ")
    assert "job --from=cronjob/gan-checkpoints-writable " in said
    assert said.endswith(f". Received: volume, for user {os.getuid()} in group {os.getgid()}")


def test_the_generator_with_the_best_score_is_written(dataset, tmp_path):
    parameters = small_parameters(score_every_images=80, score_samples=60, learning_rate=0.01)
    code, errors = finish(start(tmp_path, dataset, json.dumps(parameters)))
    assert code == 0, errors
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["images_seen"]) for row in rows] == [40, 80, 120, 160, 200, 240]
    scores = {
        int(row["images_seen"]): float(row["scores/quick_fd_random"])
        for row in rows
        if row["scores/quick_fd_random"] != "nan"
    }
    assert list(scores) == [80, 160, 240]
    assert all(row["scores/quick_precision_random"] == row["scores/quick_recall_random"] == "nan" for row in rows[::2])
    assert load_generator(tmp_path / "model").metadata.images_seen == min(scores, key=scores.get)
    guards = {f"guards/{name}" for name in ("diversity", "collapsed", "discriminator_winning", "learning_rate_scale")}
    for name in guards:
        steps = tracked(tmp_path, f"SELECT step FROM metrics WHERE key = '{name}' ORDER BY step")
        assert steps == [(int(row["images_seen"]),) for row in rows]


def test_the_best_generator_is_collapsed_if_its_own_row_says_so(dataset, tmp_path):
    config = small_training()
    training = SimpleNamespace(
        gan=Gan(config, (16, 16, 1)),
        samples=SimpleNamespace(columns=8, grid=lambda: blobs(64), images=lambda: blobs(8)),
        course=Course(),
    )
    tracker = SimpleNamespace(log_image=lambda *_: None, log_sounds=lambda *_: None, run_id=None)
    kinds_of = {"model": kinds.GENERATOR, "history": kinds.HISTORY, "samples": kinds.SAMPLES}
    kinds_of["samples_page"] = kinds.SAMPLES_PAGE
    paths = {name: Output(tmp_path / name, kind) for name, kind in kinds_of.items()}
    for collapsed, expected in (([0, 0, 1], False), ([0, 1, 0], True)):
        training.history = [
            {"images_seen": 40 * number, "guards/collapsed": float(value)}
            for number, value in enumerate(collapsed, start=1)
        ]
        training.best = SimpleNamespace(load_into=lambda _: 80)
        write_outputs(argparse.Namespace(**paths), training, PreparedDataset(dataset), tracker)
        metadata = read_metadata(paths["model"].place)
        assert (metadata.images_seen, metadata.collapsed) == (80, expected)
        picture = base64.b64encode(paths["samples"].place.read_bytes()).decode()
        assert f'src="data:image/png;base64,{picture}"' in paths["samples_page"].place.read_text()


def start_hosts(folders, dataset, config):
    """Starts one training on two hosts; the first is the chief."""
    with socket.socket() as one, socket.socket() as other:
        for end in (one, other):
            end.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{end.getsockname()[1]}" for end in (one, other)]
    places = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in range(2)]
    return [start(folder, dataset, config, cluster=place) for folder, place in zip(folders, places, strict=True)]


@pytest.mark.parametrize("killed", [0, 1], ids=["chief", "worker"])
def test_when_a_host_is_killed_the_other_ends_with_75_and_both_continue(dataset, tmp_path, killed):
    folders = [tmp_path / "chief", tmp_path / "worker"]
    for folder in folders:
        folder.mkdir()
    config = small_parameters(steps=4000, checkpoint_every_seconds=0.5)
    hosts = start_hosts(folders, dataset, json.dumps(config))
    wait_for_a_new_checkpoint(folders[0], hosts[0])
    hosts[killed].kill()
    finish(hosts[killed])
    code, errors = finish(hosts[1 - killed])
    assert code == 75, errors
    assert errors.splitlines()[-1].startswith("error: Another host of the training has ended")
    assert "Traceback" not in errors
    reached = int(re.search(r"(\d+)", newest_checkpoint(folders[0]))[1])
    again = start_hosts(folders, dataset, json.dumps(config | {"steps": reached // config["batch_size"] + 5}))
    for process in again:
        code, errors = finish(process)
        assert code == 0, errors
        if process is again[0]:
            assert f"The training resumes after {reached} of" in errors


def test_on_two_hosts_the_chief_writes_and_both_resume(dataset, tmp_path):
    changes = {"score_every_images": 160, "score_samples": 60, "patience_images": 10**6}
    paths = [tmp_path / name for name in ("chief", "worker", "alone")]
    for path in paths:
        path.mkdir()
    for steps in (25, 45):
        config = json.dumps(small_parameters(steps=steps, **changes))
        for process in start_hosts(paths[:2], dataset, config):
            code, errors = finish(process)
            assert code == 0, errors
        assert "The training" not in errors  # the last process is the worker, which prints nothing
        assert not [path for path in paths[1].iterdir() if path.name not in ("mlflow.db", "mlruns")]
    code, errors = finish(start(paths[2], dataset, config))
    assert code == 0, errors
    ours, theirs = outcome(paths[0]), outcome(paths[2])
    assert [row["images_seen"] for row in ours[0]] == [row["images_seen"] for row in theirs[0]]
    assert [row["scores/quick_fd_random"] != "nan" for row in ours[0]] == [
        row["scores/quick_fd_random"] != "nan" for row in theirs[0]
    ]
    assert ours[3].images_seen == theirs[3].images_seen
    assert [float(row["losses/generator"]) for row in ours[0]] == pytest.approx(
        [float(row["losses/generator"]) for row in theirs[0]], rel=1e-3
    )
    assert len(list(paths[0].glob("checkpoints/*"))) == 1  # one key: the longer training continued the shorter one


def parameters_without(name):
    return json.dumps({key: value for key, value in small_parameters().items() if key != name})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (json.dumps(small_parameters(momentum=0.9)), "There is no parameter 'train.momentum'. Received: momentum=0.9"),
        (parameters_without("loss"), "The parameter 'train.loss' is missing. Received: nothing"),
        (json.dumps(small_parameters(steps=10.5)), "Received: steps=10.5"),
        (json.dumps(small_parameters(latent_size="many")), "Received: latent_size='many'"),
        (json.dumps(small_parameters(dropout=1.0)), "The parameter 'train.dropout' must be less than 1."),
        (json.dumps(small_parameters(reconstruction="l1")), "and above 0 otherwise"),
        ("{", "--config must be a YAML file or a JSON object"),
        ("no.yaml", "--config must be a readable YAML file or a JSON object: No such file or directory. Received: no"),
        ("[1]", "--config must be a readable YAML file or a JSON object: No such file or directory. Received: [1]"),
    ],
)
def test_wrong_parameters_are_refused_in_one_sentence(dataset, tmp_path, config, message):
    code, errors = finish(start(tmp_path, dataset, config))
    assert code == 2
    assert errors.startswith("error: ")
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def _missing(folder):
    return folder / "nowhere"


def _empty(folder):
    return folder


def _no_manifest(folder):
    (folder / "manifest.json").write_text("{}")
    return folder


def _not_text(folder):
    (folder / "manifest.json").write_bytes(b'{"format": "\xff"}')
    return folder


def _truncated(folder):
    write_dataset(folder / "data", blobs(10), blobs(2))
    shard = folder / "data" / "train-00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1])
    return folder / "data"


def _other_shape(folder):
    write_dataset(folder / "data", blobs(10), blobs(2))
    np.save(folder / "data" / "train-00000.npy", blobs(10, resolution=32))
    return folder / "data"


def _not_square(folder):
    return write_dataset(folder / "data", blobs(10)[:, :12], blobs(2)[:, :12])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_missing, "A prepared data set must be a folder with a manifest.json, written by components.prepare"),
        (_empty, "A prepared data set must be a folder with a manifest.json, written by components.prepare"),
        (_no_manifest, "The manifest is not valid: format"),
        (_not_text, "The manifest is not valid"),
        (_truncated, "A shard must be a readable .npy file"),
        (_other_shape, "The shard must contain uint8 of shape (10, 16, 16, 1), according to its manifest."),
        (_not_square, "Received: height=12, width=16, channels=1"),
    ],
)
def test_wrong_data_is_refused_in_one_sentence(tmp_path, make, message):
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    data = tmp_path / "data"
    data.mkdir()
    code, errors = finish(start(outputs, make(data), json.dumps(small_parameters())))
    assert code == 2
    assert message in errors
    assert "Received: " in errors
    assert "Traceback" not in errors
    assert not [path for path in outputs.iterdir() if path.name != "mlflow.db"]


def _paired(folder):
    return write_dataset(folder, blobs(10), blobs(2), pairs="inpainting")


def _single(folder):
    return write_dataset(folder, blobs(10), blobs(2))


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (_single, {"conditional": True}, "'train.conditional' needs examples with labels. Received: conditional='on'"),
        (_single, {"balanced_classes": True}, "'train.balanced_classes' needs examples with labels."),
        (_single, {"network": "unet"}, "Received: network='unet', single items in "),
        (_paired, {}, "Received: network='dcgan', pairs in "),
        (_paired, {"network": "unet", "conditional": True}, "'train.conditional' must not be on for unet"),
    ],
)
def test_data_without_the_required_labels_or_pairs_are_refused(tmp_path, make, changes, message):
    data = make(tmp_path / "data")
    code, errors = finish(start(tmp_path, data, json.dumps(small_parameters(**changes))))
    assert code == 2
    assert message in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("conditional", ["auto", "on"])
def test_a_conditional_training_requires_a_training_image_of_each_class(tmp_path, conditional):
    # Image i has label i % 3, so neither of the two training images has label 2.
    dataset = PreparedDataset(write_dataset(tmp_path / "data", blobs(2), blobs(9), classes=3))
    with pytest.raises(InvalidInput, match=r"every class.*Received: conditional='on', 1 of 3 classes without: 2, in"):
        training_images(small_training(conditional=conditional), dataset)
    training_images(small_training(conditional="off", balanced_classes=True), dataset)


def test_a_generator_draws_the_classes_as_often_as_the_training_showed_them(tmp_path):
    skewed = PreparedDataset(write_dataset(tmp_path / "skewed", blobs(4), blobs(9), classes=3))
    for balanced, shares in ((False, (0.5, 0.25, 0.25)), (True, (1 / 3,) * 3)):
        gan = SimpleNamespace(
            config=small_training(conditional=True, balanced_classes=balanced), classes=3, images_seen=0
        )
        assert describe_generator(gan, skewed).class_shares == shares


@pytest.mark.parametrize("output", ["checkpoints", "model", "history", "samples"])
def test_an_output_that_cannot_be_written_is_refused_before_the_training(dataset, tmp_path, output):
    (tmp_path / "file").write_text("in the way")
    code, errors = finish(
        start(tmp_path, dataset, json.dumps(small_parameters()), **{output: tmp_path / "file" / "output"})
    )
    assert code == 2
    assert "must be a folder, but " in errors
    assert f"Received: {tmp_path}/file/output" in errors
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
