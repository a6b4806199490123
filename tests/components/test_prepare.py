"""The command `python -m components.prepare` on good and bad input."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from recipes import small_images

from gan_core.data.manifest import Manifest
from gan_core.data.prepared import PreparedDataset
from tests.gan_core.data.archives import in_class_folders, png, write_folder, write_tar

_ROOT = Path(__file__).resolve().parents[2]
_PARAMETERS = {
    "source": "raw",
    "modality": "auto",
    "label": "auto",
    "held_out_fraction": 0.5,
    "max_rejected_fraction": 0.1,
    "images_per_shard": 100,
    "seed": 0,
    "image": small_images(),
}


def _command(parameters: dict[str, Any], dataset: str) -> list[str]:
    return [sys.executable, "-m", "components.prepare", "--config", json.dumps(parameters), "--dataset", dataset]


def _run(parameters: dict[str, Any], dataset: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    return subprocess.run(
        _command(parameters, dataset), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _write_images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number:02d}.png")


def _write_unreadable(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number:02d}.png").write_bytes(b"no image")


def test_a_folder_of_photographs_becomes_a_data_set(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        _write_images(tmp_path / "raw" / name, 11)
    _write_unreadable(tmp_path / "raw" / "cat", 1)
    assert "class" not in _run(_PARAMETERS, "whole", tmp_path).stderr
    _write_images(tmp_path / "raw" / "rare", 1)

    done = _run(_PARAMETERS, "out/prepared", tmp_path)

    assert done.returncode == 0, done.stderr
    dataset = PreparedDataset(tmp_path / "out" / "prepared")
    manifest = dataset.manifest
    assert [entry.name for entry in manifest.classes] == ["cat", "dog", "rare"]
    assert re.search(
        r"^WARNING: 1 of 3 classes have no (training|held-out) image, .*: rare\. ", done.stderr, re.MULTILINE
    )
    assert manifest.source == "raw"
    general = {key: value for key, value in _PARAMETERS.items() if key != "image"}
    nested = {f"image.{key}": value for key, value in _PARAMETERS["image"].items()}
    assert manifest.settings == general | nested | {"modality": "image"}
    assert [(entry.path, entry.reason) for entry in manifest.rejected] == [
        ("cat/00.png", "not a PNG, JPEG or WebP image")
    ]
    assert sum(manifest.counts.values()) == 22
    assert manifest.digest in done.stdout
    assert re.search(r"^prepare: 23/23 images \[", done.stderr, re.MULTILINE)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["prepared"]


_NOTHING: Callable[[Path], None] = lambda _: None  # noqa: E731


@pytest.mark.parametrize(
    ("arrange", "changes", "message"),
    [
        pytest.param(
            _NOTHING, {"colour": 1}, r"There is no parameter 'prepare.colour'. Received: colour=1", id="unknown"
        ),
        pytest.param(_NOTHING, {"seed": None}, r"The parameter 'prepare.seed' is missing.", id="missing"),
        pytest.param(_NOTHING, {"seed": "a"}, r"'prepare.seed' must be a valid integer.*Received: seed='a'", id="type"),
        pytest.param(
            _NOTHING,
            {"image": _PARAMETERS["image"] | {"width": 48}},
            r"'prepare.image.width' must be 28 or a power of two from 16 to 512, or be auto. Received: width=48",
            id="range",
        ),
        pytest.param(
            _NOTHING,
            {"resolution": 48},
            r"The parameter 'prepare.resolution' is now 'prepare.image.height' and 'prepare.image.width'. "
            r"Received: resolution=48",
            id="earlier place",
        ),
        pytest.param(
            _NOTHING,
            {"modality": "smell"},
            r"'prepare.modality' must be auto, image, audio, text. Received: modality='smell'",
            id="modality",
        ),
        pytest.param(
            _NOTHING, {"source": "digits", "image": None}, r"the section 'prepare.image' .*none", id="no section"
        ),
        pytest.param(
            _NOTHING,
            {},
            r"embedded, fashion-mnist, digits, speech, names or an existing folder.*'raw'",
            id="missing folder",
        ),
        pytest.param(lambda raw: raw.mkdir(), {}, r"must contain images .*with 0 other files", id="empty folder"),
        pytest.param(
            lambda raw: _write_images(raw, 1),
            {},
            r"Both splits, .* must get at least one image.*: 1 different image in raw",
            id="one image",
        ),
        pytest.param(
            lambda raw: _write_unreadable(raw, 3),
            {},
            r"3 of 3 in raw: 00.png: not a PNG.*; 02.png: not",
            id="unreadable",
        ),
        pytest.param(
            lambda raw: (_write_images(raw, 9), _write_unreadable(raw, 1)),
            {},
            r"share of unusable images must be at most .*=0.1\. Received: 1 of 9 in raw: 00.png: not a PNG",
            id="too many unreadable",
        ),
    ],
)
def test_a_mistake_gives_one_sentence_and_no_output(
    arrange: Callable[[Path], Any], changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    arrange(tmp_path / "raw")
    parameters = {name: value for name, value in (_PARAMETERS | changes).items() if value is not None}

    done = _run(parameters, "prepared", tmp_path)

    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith("prepare: ")]
    assert len(errors) == 1
    assert re.search(f"^error: .*{message}", errors[0])
    assert {path.name for path in tmp_path.iterdir()} <= {"raw"}


def test_tars_are_prepared_and_a_truncated_one_is_refused(tmp_path: Path) -> None:
    files = in_class_folders(60)
    for number in range(2):
        write_tar(tmp_path / f"{number}.tar", [*files[number::2], (f"ant/bad-{number}.png", b"no image")])

    done = _run(_PARAMETERS | {"source": "*.tar"}, "prepared", tmp_path)

    assert done.returncode == 0, done.stderr
    manifest = PreparedDataset(tmp_path / "prepared").manifest
    assert sum(manifest.counts.values()) == 60
    assert [entry.path for entry in manifest.rejected] == ["0.tar/ant/bad-0.png", "1.tar/ant/bad-1.png"]

    (tmp_path / "1.tar").write_bytes((tmp_path / "1.tar").read_bytes()[:5000])
    done = _run(_PARAMETERS | {"source": "*.tar"}, "again", tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(r"error: A \.tar must be a whole, uncompressed tar archive: .*Received: 1\.tar\n", done.stderr)
    assert not (tmp_path / "again").exists()


def test_prepare_alone_warns_about_a_single_class(tmp_path: Path) -> None:
    """`dvc repro` runs fingerprint and prepare, so the warning would appear twice."""
    _write_images(tmp_path / "raw" / "photos", 12)
    fingerprint = [sys.executable, "-m", "components.fingerprint", "--config", json.dumps(_PARAMETERS)]
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}

    first = subprocess.run(
        [*fingerprint, "--output", "raw.json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    second = _run(_PARAMETERS, "prepared", tmp_path)

    assert "class" not in first.stderr
    advice = "All images belong to one class, photos. If that folder is not a class, set prepare.source to raw/photos"
    assert second.stderr.splitlines()[0] == f"WARNING: {advice}"

    write_tar(tmp_path / "a.tar", [file for n in range(9) for file in ((f"{n}.png", png(n)), (f"{n}.cls", b"0"))])
    advice = "All images belong to one class, 0. If that is no class, set prepare.label to none"
    third = _run(_PARAMETERS | {"source": "a.tar"}, "again", tmp_path)
    assert third.stderr.splitlines()[0] == f"WARNING: {advice}"
    assert advice not in _run(_PARAMETERS | {"source": "a.tar", "label": "none"}, "without", tmp_path).stderr


def test_one_class_below_other_folders_and_splits_are_noticed(tmp_path: Path) -> None:
    """`data/raw/pets/train/cat` alone, and `train/` and `val/` that hold files."""
    write_folder(tmp_path / "wrapped", [(f"pets/train/cat/{number}.png", png(number)) for number in range(9)])
    write_folder(tmp_path / "splits", [(f"{name}/{n}.png", png(n)) for n in range(9) for name in ("val", "train")])

    one = _run(_PARAMETERS | {"source": "wrapped"}, "one", tmp_path).stderr.splitlines()[0]
    two = _run(_PARAMETERS | {"source": "splits"}, "two", tmp_path).stderr.splitlines()[0]

    assert one.endswith("If that folder is not a class, set prepare.source to wrapped/pets/train/cat")
    assert two == (
        "WARNING: The classes train, val look like splits. This command itself holds images out, so set prepare.source "
        "to one split"
    )


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    _write_images(tmp_path / "raw", 4)
    (tmp_path / "file").write_text("here")

    done = _run(_PARAMETERS, "file/prepared", tmp_path)

    assert done.returncode == 2
    assert done.stderr == "error: The output's folder must be a folder, but file is a file. Received: file/prepared\n"


def test_an_output_may_have_the_name_of_a_built_in_source(tmp_path: Path) -> None:
    done = _run(_PARAMETERS | {"source": "digits"}, "digits", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "digits" / "manifest.json").is_file()


def test_a_killed_process_leaves_the_old_output_unchanged(tmp_path: Path) -> None:
    _write_images(tmp_path / "raw", 8)
    assert _run(_PARAMETERS, "prepared", tmp_path).returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "prepared").iterdir()}

    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    command = _command(_PARAMETERS | {"source": "embedded"}, "prepared")
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as running:
        while not list(tmp_path.glob(".prepared.*/new")) and running.poll() is None:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGKILL)

    assert running.returncode == -signal.SIGKILL
    assert {path.name: path.read_bytes() for path in (tmp_path / "prepared").iterdir()} == before
    assert _run(_PARAMETERS, "prepared", tmp_path).returncode == 0
    assert Manifest.parse((tmp_path / "prepared" / "manifest.json").read_text(), "").source == "raw"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--", "--runner", "FnApiRunner"], "Options after -- need --engine beam. Received: --runner FnApiRunner"),
        (["--engine", "beam", "--", "--runner", "FnApiRunner"], "--engine beam needs Apache Beam, which has an env"),
        (["--engine", "spark"], "argument --engine: invalid choice: 'spark'"),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused(options: list[str], message: str, tmp_path: Path) -> None:
    command = [*_command(_PARAMETERS | {"source": "digits"}, str(tmp_path / "prepared")), *options]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
