"""Prepare on a cluster: the images that fetch downloaded, and the metadata for Kubeflow."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from recipes import small_images

from components import fetch, prepare
from components.storage.dvc_pointer import NOTHING_FETCHED
from gan_core.data.prepared import PreparedDataset
from gan_core.exit_codes import run
from tests.datasets import blobs
from tests.gan_core.data.archives import write_csv

CONFIG = {
    "source": "data/raw/blobs",
    "modality": "auto",
    "label": "auto",
    "held_out_fraction": 0.25,
    "max_rejected_fraction": 0.0,
    "images_per_shard": 100,
    "seed": 0,
    "image": small_images(),
}


def write_images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for index, image in enumerate(blobs(8)):
        Image.fromarray(image[..., 0]).save(folder / f"{index}.png")
    return folder


def run_prepare(monkeypatch, folder: Path, source: str, *more: str) -> int:
    config = json.dumps(CONFIG | {"source": source})
    monkeypatch.setattr("sys.argv", ["prepare", "--config", config, "--dataset", str(folder / "prepared"), *more])
    try:
        run(prepare.main)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_fetched_images_give_the_same_data_set_as_their_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_images(tmp_path / "data" / "raw" / "blobs")
    assert run_prepare(monkeypatch, tmp_path / "here", "data/raw/blobs") == 0
    fetched = folder.rename(tmp_path / "fetched")
    assert run_prepare(monkeypatch, tmp_path / "cluster", "data/raw/blobs", "--data", str(fetched)) == 0
    here, cluster = (PreparedDataset(tmp_path / name / "prepared").manifest for name in ("here", "cluster"))
    assert cluster == here


def test_fetched_archives_give_the_same_data_set_as_their_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data" / "raw" / "blobs")
    assert run_prepare(monkeypatch, tmp_path / "here", "data/raw/blobs") == 0
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    shutil.make_archive(str(fetched / "blobs"), "tar", tmp_path / "data" / "raw" / "blobs")
    assert run_prepare(monkeypatch, tmp_path / "cluster", "data/raw/blobs/*.tar", "--data", str(fetched)) == 0
    here, cluster = (PreparedDataset(tmp_path / name / "prepared").manifest for name in ("here", "cluster"))
    assert cluster.digest == here.digest


def test_a_list_in_a_fetched_folder_gives_the_same_data_set(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_images(tmp_path / "data" / "raw" / "blobs")
    write_csv(folder / "list.csv", [("path",), *((f"{number}.png",) for number in range(6))])
    assert run_prepare(monkeypatch, tmp_path / "here", "data/raw/blobs/list.csv") == 0
    fetched = folder.rename(tmp_path / "fetched")
    assert run_prepare(monkeypatch, tmp_path / "cluster", "data/raw/blobs/list.csv", "--data", str(fetched)) == 0
    here, cluster = (PreparedDataset(tmp_path / name / "prepared").manifest for name in ("here", "cluster"))
    assert cluster == here
    assert sum(here.counts.values()) == 6


def test_the_source_is_read_if_nothing_was_fetched(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["fetch", "--pointer", "", "--remote", "", "--data", str(tmp_path / "fetched")])
    run(fetch.main)
    (written,) = (tmp_path / "fetched").iterdir()
    assert written.read_text() == "nothing to fetch: the data comes with the image\n"
    assert run_prepare(monkeypatch, tmp_path, "digits", "--data", str(tmp_path / "fetched")) == 0
    assert PreparedDataset(tmp_path / "prepared").manifest.source == "digits"


def test_images_in_a_class_folder_of_that_name_are_fetched_data(tmp_path: Path, monkeypatch, capsys) -> None:
    write_images(tmp_path / "fetched" / NOTHING_FETCHED)
    assert run_prepare(monkeypatch, tmp_path, "digits", "--data", str(tmp_path / "fetched")) == 2
    assert "not a built-in data set" in capsys.readouterr().err
    assert run_prepare(monkeypatch, tmp_path, "data/raw/blobs", "--data", str(tmp_path / "fetched")) == 0
    assert [entry.name for entry in PreparedDataset(tmp_path / "prepared").manifest.classes] == [NOTHING_FETCHED]


def unusable(folder: Path, kind: str) -> Path:
    """Creates something that is not a folder of images and returns its path."""
    folder.mkdir()
    path = folder / "data"
    if kind in ("empty folder", "hidden files", "other files", "mac's folder"):
        path.mkdir()
    if kind == "hidden files":
        (path / ".gitignore").touch()
    elif kind == "other files":
        (path / "cats.csv").write_text("a,b\n")
    elif kind == "mac's folder":
        write_images(path / "__MACOSX")
    elif kind == "csv":
        path.write_text("a,b\n")
    elif kind in ("zip", "tar"):
        shutil.make_archive(str(folder / "data"), kind, write_images(folder / "images"))
        path = folder / f"data.{kind}"
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dead link":
        path.symlink_to(folder / "nowhere")
    elif kind == "device":
        path = Path("/dev/zero")
    return path


@pytest.mark.parametrize("source", ["digits", "data/raw/blobs"])
@pytest.mark.parametrize(
    "kind",
    [
        *("nothing", "empty folder", "hidden files", "mac's folder", "other files"),
        *("csv", "zip", "tar", "pipe", "dead link", "device"),
    ],
)
def test_an_unusable_input_is_refused_and_never_replaced_by_the_source(
    tmp_path: Path, monkeypatch, capsys, kind: str, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data" / "raw" / "blobs")
    named = unusable(tmp_path / "named", kind)
    assert run_prepare(monkeypatch, tmp_path, source, "--data", str(named)) == 2
    assert str(named) in capsys.readouterr().err.rpartition("Received: ")[2]
    assert not (tmp_path / "prepared").exists()


def test_fetched_images_with_a_built_in_source_are_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    fetched = write_images(tmp_path / "fetched")
    assert run_prepare(monkeypatch, tmp_path, "digits", "--data", str(fetched)) == 2
    assert "not a built-in data set. Received: source='digits'" in capsys.readouterr().err
    assert not (tmp_path / "prepared").exists()


def test_kubeflow_gets_the_version_of_the_data(tmp_path: Path, monkeypatch) -> None:
    outputs = {"dataset": {"artifacts": [{"name": "dataset", "uri": str(tmp_path / "prepared")}]}}
    given = json.dumps({"inputs": {}, "outputs": {"artifacts": outputs, "outputFile": str(tmp_path / "o.json")}})
    data = ["--data", str(write_images(tmp_path / "fetched")), "--executor-input", given]
    assert run_prepare(monkeypatch, tmp_path, "blobs", *data) == 0
    (artifact,) = json.loads((tmp_path / "o.json").read_text())["artifacts"]["dataset"]["artifacts"]
    digest = PreparedDataset(tmp_path / "prepared").manifest.digest
    assert artifact["metadata"] == {"digest": digest, "train": 6, "held_out": 2}
