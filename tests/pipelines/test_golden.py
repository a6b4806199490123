"""The compiled pipelines equal the committed ones.

After an intended change, run `python -m tests.pipelines.test_golden` to write them again, and review the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
IMAGE = "registry.example.com/gan-pipeline@sha256:" + "0" * 64
COMMANDS = {
    "training-cpu": ["training", "--profile", str(ROOT / "infra/profiles/cpu.yaml")],
    "training-gpu": ["training", "--profile", str(ROOT / "infra/profiles/gpu.yaml")],
    "training-gpu-spot": ["training", "--profile", str(ROOT / "infra/profiles/gpu-spot.yaml")],
    "sweep-gpu-spot": [
        *("sweep", "--profile", str(ROOT / "infra/profiles/gpu-spot.yaml")),
        *("--grid", "train.learning_rate=0.0001,0.0002", "--trial", "train.loss=minimax train.seed=1"),
    ],
}


def compile_to(name: str, folder: Path) -> Path:
    output = folder / f"{name}.yaml"
    main(["compile", *COMMANDS[name], "--image", IMAGE, "--params", str(ROOT / "params.yaml"), "--output", str(output)])
    return output


def documents(path: Path) -> list[dict[str, Any]]:
    """Returns the documents of the file without the version of the SDK that wrote it."""
    loaded = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    loaded[0].pop("sdkVersion")
    return loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_the_compiled_pipeline_equals_the_committed_one(name: str, tmp_path: Path) -> None:
    assert documents(compile_to(name, tmp_path)) == documents(GOLDEN / f"{name}.yaml"), (
        "the compiled pipeline changed; if this is intended, run python -m tests.pipelines.test_golden"
    )


def test_compiling_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = compile_to("training-cpu", tmp_path).read_bytes()
    assert compile_to("training-cpu", tmp_path).read_bytes() == first


def test_no_other_pipeline_is_committed() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(COMMANDS)


if __name__ == "__main__":
    for each in COMMANDS:
        compile_to(each, GOLDEN)
