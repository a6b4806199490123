"""Prepare on a cluster: the images that fetch brought, and what Kubeflow is told."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from components import fetch, prepare
from gan_core.data.prepared import PreparedDataset
from gan_core.exit_codes import run
from tests.datasets import blobs

CONFIG = {
    "source": "data/raw/blobs",
    "resolution": 16,
    "channels": 1,
    "fit": "center_crop",
    "pairs": "none",
    "background": 0,
    "held_out_fraction": 0.25,
    "max_rejected_fraction": 0.0,
    "max_image_megapixels": 1,
    "images_per_shard": 100,
    "seed": 0,
}


def images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for index, image in enumerate(blobs(8)):
        Image.fromarray(image[..., 0]).save(folder / f"{index}.png")
    return folder


def command(monkeypatch, folder: Path, source: str, *more: str) -> int:
    config = json.dumps(CONFIG | {"source": source})
    monkeypatch.setattr("sys.argv", ["prepare", "--config", config, "--dataset", str(folder / "prepared"), *more])
    try:
        run(prepare.main)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_fetched_images_are_the_same_data_as_the_folder_itself(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = images(tmp_path / "data" / "raw" / "blobs")
    assert command(monkeypatch, tmp_path / "here", "data/raw/blobs") == 0
    fetched = folder.rename(tmp_path / "fetched")
    assert command(monkeypatch, tmp_path / "cluster", "data/raw/blobs", "--data", str(fetched)) == 0
    here, cluster = (PreparedDataset(tmp_path / name / "prepared").manifest for name in ("here", "cluster"))
    assert cluster == here


def test_where_there_was_nothing_to_fetch_the_source_is_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["fetch", "--pointer", "", "--remote", "", "--data", str(tmp_path / "fetched")])
    run(fetch.main)
    assert command(monkeypatch, tmp_path, "digits", "--data", str(tmp_path / "fetched")) == 0
    assert PreparedDataset(tmp_path / "prepared").manifest.source == "digits"


def unusable(folder: Path, kind: str) -> Path:
    """What a person may name in place of a folder of images."""
    folder.mkdir()
    place = folder / "data"
    if kind in ("empty folder", "hidden files", "other files", "mac's folder"):
        place.mkdir()
    if kind == "hidden files":
        (place / ".gitignore").touch()
    elif kind == "other files":
        (place / "cats.csv").write_text("a,b\n")
    elif kind == "mac's folder":
        images(place / "__MACOSX")
    elif kind == "csv":
        place.write_text("a,b\n")
    elif kind in ("zip", "tar"):
        shutil.make_archive(str(folder / "data"), kind, images(folder / "images"))
        place = folder / f"data.{kind}"
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "dead link":
        place.symlink_to(folder / "nowhere")
    elif kind == "device":
        place = Path("/dev/zero")
    return place


@pytest.mark.parametrize("source", ["digits", "data/raw/blobs"])
@pytest.mark.parametrize(
    "kind",
    [
        *("nothing", "empty folder", "hidden files", "mac's folder", "other files"),
        *("csv", "zip", "tar", "pipe", "dead link", "device"),
    ],
)
def test_a_named_input_that_cannot_be_used_is_never_replaced(
    tmp_path: Path, monkeypatch, capsys, kind: str, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "data" / "raw" / "blobs")
    named = unusable(tmp_path / "named", kind)
    assert command(monkeypatch, tmp_path, source, "--data", str(named)) == 2
    assert str(named) in capsys.readouterr().err.rpartition("Received: ")[2]
    assert not (tmp_path / "prepared").exists()


def test_fetched_images_and_a_built_in_source_do_not_go_together(tmp_path: Path, monkeypatch, capsys) -> None:
    fetched = images(tmp_path / "fetched")
    assert command(monkeypatch, tmp_path, "digits", "--data", str(fetched)) == 2
    assert "not a built-in data set. Received: source='digits'" in capsys.readouterr().err
    assert not (tmp_path / "prepared").exists()


def test_kubeflow_is_told_the_datas_version(tmp_path: Path, monkeypatch) -> None:
    outputs = {"dataset": {"artifacts": [{"name": "dataset", "uri": str(tmp_path / "prepared")}]}}
    given = json.dumps({"inputs": {}, "outputs": {"artifacts": outputs, "outputFile": str(tmp_path / "o.json")}})
    data = ["--data", str(images(tmp_path / "fetched")), "--executor-input", given]
    assert command(monkeypatch, tmp_path, "blobs", *data) == 0
    (told,) = json.loads((tmp_path / "o.json").read_text())["artifacts"]["dataset"]["artifacts"]
    digest = PreparedDataset(tmp_path / "prepared").manifest.digest
    assert told["metadata"] == {"digest": digest, "train": 6, "held_out": 2}
