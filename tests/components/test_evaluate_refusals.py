"""Inputs, parameters and outputs that the evaluate command refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs, write_dataset
from evaluate_runs import ROOT, SETTINGS, SIDE, Workspace, write_generator
from PIL import Image


@pytest.mark.parametrize(
    ("options", "settings", "sentence"),
    [
        ("--real none --generated generator", {}, "The images of an evaluation must be a prepared data set"),
        ("--real data --generated none", {}, "The images of an evaluation must be a prepared data set"),
        ("--real none --generated none", {"extractor": "ngram"}, "there is no such file or folder. Received: none"),
        ("--real empty --generated generator", {}, "at least one image"),
        ("--real data --generated empty", {}, "at least one image"),
        ("--real data --generated colour", {}, "must have the same shape"),
        ("--real data --generated damaged", {}, "must be a Keras model file"),
        ("--real data --generated undescribed", {}, "generator.json is not valid"),
        ("--real broken --generated generator", {}, "The shard must contain"),
        ("--real unlabelled --generated generator", {}, "'random'"),
        ("--real data --generated not_finite", {}, "arrays must be finite"),
        ("--real data --generated generator --champion none", {}, "--champion must be a generator"),
        ("--real images --generated generator", {}, "is trained on labels"),
        ("--real data --generated one", {}, "at least 6 examples"),
        ("--real data --generated few", {}, "at least 6 examples"),
        ("--real few --generated few", {"extractor": "ngram"}, "must be one of classifier, random, inception"),
        ("--real data --generated other_size", {}, "arrays of the shape it was trained on"),
        ("--real data --generated truncated", {}, "An image must be readable"),
        ("--real data --generated generator --history images", {}, "history must be"),
        ("--real data --generated generator --metrics fid,beauty", {}, "'evaluate.metrics.1' must be"),
        ("--real data --generated generator --mode nearest", {}, "'evaluate.resize' must be"),
        (
            "--real data --generated generator --mode clean",
            {"extractor": "random"},
            "--mode needs the extractor incept",
        ),
        ("--real s.npz --generated images --metrics fid,prdc", {}, "only the metric 'fid' can be computed"),
        ("--real s.npz --generated images", {}, "only the metric 'fid' can be computed"),
        ("--real images --generated images --metrics memorisation", {}, "requires a prepared data set"),
        ("--real broken_manifest --generated generator", {}, "The manifest is not valid: Invalid JSON"),
        ("--real data --generated generator", {"samples": 1}, "evaluate.samples"),
        ("--real data --generated generator", {"extractor": "clip"}, "evaluate.extractor"),
        ("--real data --generated generator", {"extractor": "inception", "inception_weights": "none"}, "6726825d"),
        ("--real data --generated generator", {"extractor": "inception", "inception_weights": "x.pth"}, "SHA-256"),
        ("--real data --generated generator", {"extractor": "dinov2", "dinov2_weights": "none"}, "d5383ea8"),
        ("--real data --generated generator", {"extractor": "dinov2", "dinov2_weights": "x.pth"}, "SHA-256"),
    ],
)
def test_bad_input_is_refused_with_the_rule(
    workspace: Workspace, options: str, settings: dict[str, object], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_bad_input(workspace.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace.folder)
        with pytest.raises(SystemExit) as ended:
            workspace.evaluate(*options.split(), "--report", "bad.html", "--statistics", "bad.npz", **settings)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert "Received: " in message
    assert not list(workspace.folder.glob("bad.*"))


def _write_bad_input(folder: Path) -> None:
    if (folder / "empty").exists():
        return
    (folder / "empty").mkdir()
    write_generator(folder / "damaged")
    (folder / "damaged" / "generator.keras").write_bytes(b"PK")
    write_generator(folder / "not_finite", scale=np.nan)
    write_generator(folder / "undescribed")
    (folder / "undescribed" / "generator.json").write_text("{}")
    write_dataset(folder / "broken", blobs(10, SIDE), blobs(10, SIDE), classes=2)
    np.save(folder / "broken" / "held_out-00000.npy", blobs(9, SIDE))
    for name, count, side in (("one", 1, SIDE), ("few", 3, SIDE), ("other_size", 9, 20), ("truncated", 9, SIDE)):
        (folder / name).mkdir()
        for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8)):
            Image.fromarray(image).save(folder / name / f"{number}.png")
    content = (folder / "truncated" / "0.png").read_bytes()
    (folder / "truncated" / "0.png").write_bytes(content[: len(content) // 2])
    (folder / "s.npz").touch()
    (folder / "broken_manifest").mkdir()
    (folder / "broken_manifest" / "manifest.json").write_text('{"digest": "sha256-')
    (folder / "x.pth").write_bytes(b"weights of something else")


def test_a_wrong_parameter_is_refused_before_tensorflow(workspace: Workspace) -> None:
    code = "import sys; sys.argv[0] = 'evaluate'; from components.evaluate import main\ntry: main()\n"
    code += "except Exception as error: print(type(error).__name__, 'tensorflow' in sys.modules)"
    options = ["--config", json.dumps(SETTINGS | {"samples": 0}), "--real", "data", "--generated", "generator"]
    process = subprocess.run(
        [sys.executable, "-c", code, *options],
        cwd=workspace.folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert process.stdout == "InvalidInput False\n"


def test_an_output_that_cannot_be_written_is_refused(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace.folder / "file").touch()
    with pytest.raises(SystemExit) as ended:
        workspace.evaluate(
            "--real", workspace.data, "--generated", workspace.generator, "--report", workspace.file / "report.html"
        )
    assert ended.value.code == 2
    assert "is a file" in capsys.readouterr().err
