"""`prepare --engine beam` writes the same bytes as `prepare`, on every runner."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given, settings
from hypothesis import strategies as st
from modalities import EACH, EXAMPLES, Example
from PIL import Image
from runners import TWO_PROCESSES

from components.beam import engine
from components.beam.engine import BeamEngine
from components.beam.ranges import SortedItems, WriteRange, range_of
from gan_core.data.engine import Form
from gan_core.data.parameters import PrepareConfig
from gan_core.data.prepare import prepare
from gan_core.modalities.choice import open_source
from tests.gan_core.data.archives import in_class_folders, write_csv, write_folder, write_parquet, write_tar, write_zip

_ROOT = Path(__file__).resolve().parents[2]


def _command(config: dict[str, Any], dataset: Path, runner: Sequence[str] = ()) -> list[str]:
    command = [sys.executable, "-m", "components.prepare", "--config", json.dumps(config), "--dataset", str(dataset)]
    return [*command, "--engine", "beam", "--", *runner] if runner else command


def _run(config: dict[str, Any], dataset: Path, runner: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = _command(config, dataset, runner)
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _damaged_folder(folder: Path) -> dict[str, Any]:
    """Writes two classes of images with copies and files that are no images, and returns the parameters."""
    sections = EXAMPLES[0].parameters(str(folder))
    EXAMPLES[0].write(folder, 0, 60, False)
    for name in ("broken", "two\nlines", "two\u2028lines"):
        (folder / "left" / f"{name}.png").write_bytes(b"no image")
    for name in ("left", "right"):
        for copy in range(5):
            Image.fromarray(np.full((16, 16), 90, np.uint8)).save(folder / name / f"copy{copy}.png")
    config: dict[str, Any] = sections["prepare"] | {"max_rejected_fraction": 0.1, "images_per_shard": 7}
    return config


def test_every_runner_writes_the_bytes_of_one_process(tmp_path: Path, runner: list[str]) -> None:
    config = _damaged_folder(tmp_path / "raw")

    alone = _run(config, tmp_path / "alone")
    divided = _run(config, tmp_path / "divided", runner)

    assert (alone.returncode, divided.returncode) == (0, 0), divided.stderr
    expected = _content(tmp_path / "alone")
    assert len(expected) > 16
    assert _content(tmp_path / "divided") == expected
    assert divided.stdout == alone.stdout.replace("/alone/", "/divided/")
    assert sorted(os.listdir(tmp_path)) == ["alone", "divided", "raw"]


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.parquet", "a.csv"])
def test_the_items_of_archives_and_lists_travel_to_workers(name: str, tmp_path: Path) -> None:
    files = in_class_folders(30)
    if name == "a.parquet":
        labels = [file.split("/")[0] for file, _ in files]
        write_parquet(tmp_path / name, {"image": [content for _, content in files], "label": labels})
    elif name == "a.csv":
        write_folder(tmp_path, files)
        write_csv(tmp_path / name, [("path", "label"), *((file, file.split("/")[0]) for file, _ in files)])
    else:
        (write_tar if name == "a.tar" else write_zip)(tmp_path / name, files)
    config = PrepareConfig.parse(EXAMPLES[0].parameters(str(tmp_path / name))["prepare"])
    opener = functools.partial(open_source, config.source)

    prepare(opener(), config, tmp_path / "alone")
    prepare(opener(), config, tmp_path / "divided", BeamEngine(PipelineOptions(runner="FnApiRunner"), opener, tmp_path))

    assert _content(tmp_path / "divided") == _content(tmp_path / "alone")


@EACH
def test_each_modality_in_many_ranges(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BYTES_PER_RANGE", 1000)
    alone = example.prepared(tmp_path)
    config = PrepareConfig.parse(example.parameters(str(tmp_path / "raw"))["prepare"])
    opener = functools.partial(open_source, config.source)

    prepare(opener(), config, tmp_path / "divided", BeamEngine(PipelineOptions(runner="FnApiRunner"), opener, tmp_path))

    assert _content(tmp_path / "divided") == _content(alone)


@pytest.mark.parametrize("runner", [["--runner", "Nonsense"], ["--direct_num_workers", "2"]])
def test_a_runner_must_be_named(runner: list[str], tmp_path: Path) -> None:
    done = _run(EXAMPLES[0].parameters("digits")["prepare"], tmp_path / "prepared", runner)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --engine beam needs one of Beam's runners, such as -- --runner FnApiRunner")


_ITEMS = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 2)), min_size=1)


@settings(max_examples=50)
@given(_ITEMS, st.integers(1, 7))
def test_ranges_hold_all_items_in_order(
    tmp_path_factory: pytest.TempPathFactory, given_items: list[tuple[int, int]], ranges: int
) -> None:
    folder = tmp_path_factory.mktemp("ranges")
    form = Form(lambda opener: opener(), (2,), np.uint8)
    items = [(bytes([50 * content]) + bytes(31), label, bytes([content, 7])) for content, label in given_items]
    for number in range(ranges):
        of_range = [item for item in items if range_of(item[0], ranges) == number]
        if of_range:
            list(WriteRange(folder, form).process((number, of_range)))

    found = SortedItems(folder, ranges)

    read = [
        (digest.tobytes(), int(label), found.read(index).tobytes())
        for index, (digest, label) in enumerate(zip(found.digests, found.labels, strict=True))
    ]
    assert read == sorted(items)


def _workers(command: int) -> list[psutil.Process]:
    """Returns the worker processes of a running command, without the shells that start them."""
    children = psutil.Process(command).children(recursive=True)
    return [child for child in children if child.name().startswith("python")]


def test_an_interrupted_command_ends_with_its_workers(tmp_path: Path) -> None:
    EXAMPLES[0].write(tmp_path / "raw", 0, 60, False)
    config = EXAMPLES[0].parameters(str(tmp_path / "raw"))["prepare"]
    command = _command(config, tmp_path / "divided", TWO_PROCESSES)

    # A shell starts background jobs with SIGINT ignored, and their children inherit that.
    command = ["env", "--default-signal=INT", *command]
    started = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(workers := _workers(started.pid)) < 2:
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    output, errors = started.communicate()

    assert (started.returncode, output) == (130, "")
    assert set(errors.splitlines()) - {"Killed"} == {"error: Interrupted."}
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    assert os.listdir(tmp_path) == ["raw"]


def test_a_killed_worker_ends_the_command_and_the_same_command_works(tmp_path: Path) -> None:
    alone = EXAMPLES[0].prepared(tmp_path)
    config = EXAMPLES[0].parameters(str(tmp_path / "raw"))["prepare"]
    command = _command(config, tmp_path / "divided", TWO_PROCESSES)

    started = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (workers := _workers(started.pid)):
        time.sleep(0.05)
    workers[0].kill()
    output, errors = started.communicate()

    assert (started.returncode, output) == (75, "")
    shell, _, sentence = errors.strip().rpartition("\n")
    assert shell in ("", "Killed")
    assert re.fullmatch(r"error: The Beam pipeline failed: .*exited with return code 137\. .*FnApiRunner", sentence)
    assert sorted(os.listdir(tmp_path)) == ["prepared", "raw"]
    assert _run(config, tmp_path / "divided", TWO_PROCESSES).returncode == 0
    assert _content(tmp_path / "divided") == _content(alone)
