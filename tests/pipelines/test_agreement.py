"""dvc.yaml, the compiled pipelines and the components' parsers agree on the command line of each stage."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Stages only for DVC: one detects changes of the raw data, one prints a summary.
LOCAL_ONLY = ("fingerprint", "summary")
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: stage for name, stage in GRAPH.items() if name not in LOCAL_ONLY}
# Options only for the cluster: the place of the fetched data, the tracking records that leave the training's pod, the
# label of a sweep's trial, and the file that describes the outputs for Kubeflow.
CLUSTER_ONLY = {
    "prepare": {"--data", "--executor-input"},
    "train": {"--samples-page", "--records", "--executor-input"},
    "evaluate": {"--records", "--trial", "--executor-input"},
}
# These stages also read the model's name: a warm start begins with its champion, and the report compares with it.
ALSO_READ = {"train": ["register.model_name"], "evaluate": ["register.model_name"]}
STEPS = ["resolve", "fetch", "prepare", "check", "train", "evaluate", "choose", "register", "report-status"]


def executors(pipeline: str) -> dict[str, dict[str, Any]]:
    compiled = next(yaml.safe_load_all((ROOT / f"tests/golden/{pipeline}.yaml").read_text()))
    return {
        name.removeprefix("exec-"): executor["container"]
        for name, executor in compiled["deploymentSpec"]["executors"].items()
    }


TRAINING, SWEEP = executors("training-cpu"), executors("sweep-gpu-spot")
CONTAINERS = {**SWEEP, **TRAINING}


def parser(step: str) -> argparse.ArgumentParser:
    return importlib.import_module(f"components.{step.replace('-', '_')}").parser()


def options(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


def test_the_pipelines_have_the_stages_of_dvc_and_the_steps_of_the_cluster() -> None:
    assert set(GRAPH) == {*STAGES, *LOCAL_ONLY}
    assert set(TRAINING) == {*STAGES, "resolve", "fetch", "check", "report-status"}
    assert set(SWEEP) == {*TRAINING, "choose"}
    assert set(STEPS) == set(CONTAINERS)


@pytest.mark.parametrize("step", STEPS)
def test_the_components_parser_accepts_the_containers_command(step: str) -> None:
    container = CONTAINERS[step]
    assert container["command"] == ["python", "-m", f"components.{step.replace('-', '_')}"]
    read = vars(parser(step).parse_args(container["args"]))
    for option, value in zip(container["args"][::2], container["args"][1::2], strict=True):
        assert str(read[option.removeprefix("--").replace("-", "_")]) == value, option


@pytest.mark.parametrize("step", sorted(set(SWEEP) & set(TRAINING)))
def test_a_step_has_one_command_in_both_pipelines(step: str) -> None:
    assert (TRAINING[step]["command"], TRAINING[step]["args"]) == (SWEEP[step]["command"], SWEEP[step]["args"])


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_and_the_cluster_give_a_stage_the_same_options(stage: str) -> None:
    words = shlex.split(STAGES[stage]["cmd"])
    assert words[:3] == TRAINING[stage]["command"]
    parser(stage).parse_args(words[3:])
    assert options(words) == options(TRAINING[stage]["args"]) - CLUSTER_ONLY.get(stage, {"--executor-input"})


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_its_own_section(stage: str) -> None:
    assert STAGES[stage]["params"] == [stage, *ALSO_READ.get(stage, [])]
    words = shlex.split(STAGES[stage]["cmd"])
    assert words[words.index("--config") + 1] == "params.yaml"
    compiled = next(yaml.safe_load_all((ROOT / "tests/golden/training-cpu.yaml").read_text()))
    (task,) = (t for t in _tasks(compiled) if t["componentRef"]["name"] == f"comp-{stage}")
    assert task["inputs"]["parameters"]["config"] == {"componentInputParameter": f"pipelinechannel--{stage}"}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_and_the_container_have_the_same_inputs_and_outputs(stage: str) -> None:
    """Paths under outs, plots or metrics in dvc.yaml have output placeholders, all others input placeholders."""
    words = shlex.split(STAGES[stage]["cmd"])[3:]
    produced = [
        next(iter(entry)) if isinstance(entry, dict) else entry
        for kind in ("outs", "plots", "metrics")
        for entry in STAGES[stage].get(kind, [])
    ]
    container = dict(zip(TRAINING[stage]["args"][::2], TRAINING[stage]["args"][1::2], strict=True))
    for option, value in zip(words[::2], words[1::2], strict=True):
        direction = re.match(r"\{\{\$\.(inputs|outputs)\.", container[option])
        assert direction is not None
        assert (direction[1] == "outputs") == (value in produced), option


def _tasks(node: Any) -> list[dict[str, Any]]:
    if not isinstance(node, dict):
        return []
    own_tasks = list(node["tasks"].values()) if "tasks" in node else []
    return own_tasks + [task for value in node.values() for task in _tasks(value)]
