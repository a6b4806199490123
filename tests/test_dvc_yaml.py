"""Each stage of dvc.yaml depends on exactly the code that can change its outputs."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# The other stages run every time.
WATCHED = [name for name, stage in STAGES.items() if not stage.get("always_changed")]
PACKAGES = ("components", "gan_core")
# Modules that a stage imports but that change no byte of its outputs, each with the reason.
WITHOUT_EFFECT = {
    "gan_core.exit_codes": "sets the exit code and prints a failure",
    "components.beam.engine": "divides the work among Beam's workers, which write the same bytes",
    "components.beam.evaluation": "divides the features among Beam's workers, which give the same scores",
    "components.beam.options": "reads Beam's options",
    "components.beam.pipelines": "runs Beam's pipelines",
    "components.beam.ranges": "holds the items that Beam's workers decoded, in the same order",
    "components.cli.progress": "prints how far a loop is",
    "components.storage.cache_folder": "says where results are cached",
    "components.storage.bucket": "speaks with Google Cloud Storage",
    "components.tracking.description": "describes a run and a version in MLflow",
    "components.executor": "tells Kubeflow what a step made",
    "components.storage.output_kinds": "recognises earlier outputs, which alone are replaced",
    "components.tracking.lineage": "tags for MLflow: where the code comes from",
    "components.storage.lease": "lets one process at a time write the copies of checkpoints",
    "components.storage.mirror": "copies checkpoints to a bucket and back",
    "components.tracking.address": "says where MLflow is",
    "components.tracking.failures": "puts what MLflow raises into a sentence",
    "components.trainer.rendezvous": "tells the hosts of a TrainJob of each other",
    "components.tracking.runs": "finds and creates runs in MLflow",
    "components.tracking.server": "speaks with MLflow",
    "components.storage.objects": "copies single objects of a bucket",
    "components.storage.outputs": "moves a finished output to its place",
    "components.storage.replacing": "moves a finished output to its place",
    "components.tracking.records": "takes unsent records out of a training's pod",
    "components.tracking.run_name": "names a run in MLflow",
    "components.tracking.spool": "keeps records that MLflow has not received yet",
    "components.storage.paths": "copies inputs and outputs that stand in a bucket",
    "components.tracking.scores": "tells MLflow about scores",
    "components.tracking.tracker": "tells MLflow about a run",
    "components.training.hooks": "prints and tracks what happens around a training's steps",
    "components.training.stop_signal": "lets a signal stop a training",
    "components.storage.transfer": "copies files to a bucket and back",
    "components.storage.volume": "keeps an output on the volume of a pipeline and reads it there",
    "gan_core": "names what a user of the library imports",
    "gan_core.url_guard": "checks addresses before a request",
    "gan_core.deadline": "ends what takes too long",
    "gan_core.masking": "hides secrets in what is printed and tracked",
    "gan_core.printing": "escapes what is printed",
    "gan_core.staging": "makes the folders that outputs are written in first",
}


def path_of(module: str) -> Path | None:
    """Returns the module's file; None if it is not a module of this project or has no code."""
    stem = ROOT / module.replace(".", "/")
    path = next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)
    has_code = path and any(not isinstance(statement, ast.Expr) for statement in tree(path).body)
    return path if has_code else None


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yields all nodes except those that only a type checker sees."""
    yield node
    if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
        for child in ast.iter_child_nodes(node):
            yield from nodes(child)


def imported(path: Path) -> Iterator[str]:
    """Yields the modules that a file imports, at its top or in a function, and their packages."""
    for node in nodes(tree(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] in PACKAGES:
                yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def named_files(path: Path) -> Iterator[Path]:
    """Yields files and folders next to a module that it names but does not import: templates, data, sources."""
    for node in nodes(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            neighbour = path.parent / node.value
            if (
                re.fullmatch(r"\w[\w.-]*", node.value)
                and neighbour.exists()
                and not (neighbour / "__init__.py").exists()
            ):
                yield neighbour


def code_of(stage: str) -> set[str]:
    """Returns the project's code on which a stage must depend."""
    words = shlex.split(STAGES[stage]["cmd"])
    assert words[:2] == ["python", "-m"]
    waiting, passed, found = [words[2]], set(), set()
    while waiting:
        module = waiting.pop()
        path = None if module in passed or module in WITHOUT_EFFECT else path_of(module)
        passed.add(module)
        if path is not None:
            found |= {path, *named_files(path)}
            waiting += imported(path)
    return {str(path.relative_to(ROOT)) for path in found}


def listed(stage: str) -> set[str]:
    """Returns the code on which a stage depends; a folder stands for the modules in it."""
    entries = [ROOT / entry for entry in STAGES[stage]["deps"] if entry.startswith(PACKAGES)]
    return {
        str(path.relative_to(ROOT))
        for entry in entries
        for path in ([entry] if entry.is_file() or not list(entry.glob("*.py")) else entry.rglob("*.py"))
        if path.name != "__init__.py" or entry == path
    }


@pytest.mark.parametrize("stage", WATCHED)
def test_a_stage_depends_on_the_code_that_can_change_its_outputs(stage: str) -> None:
    code, deps = code_of(stage), listed(stage)
    assert deps == code, (
        f"dvc.yaml, deps of {stage}: add {sorted(code - deps)}, remove {sorted(deps - code)}; or name a module that "
        "changes no output in WITHOUT_EFFECT, with the reason"
    )


def test_every_exception_is_a_module_that_a_stage_imports() -> None:
    imports = {name for path in ROOT.glob("components/**/*.py") for name in imported(path)}
    imports |= {name for path in ROOT.glob("gan_core/**/*.py") for name in imported(path)}
    assert set(WITHOUT_EFFECT) <= imports
    assert all(reason for reason in WITHOUT_EFFECT.values())
