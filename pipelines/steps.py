"""The stages as container components: the plain command of each, as in dvc.yaml, with Kubeflow's paths.

An input that has a default is absent from a container component on the cluster when no value is passed, and its
placeholder then fails. So no input here has one. The image is set on the task.
"""
# kfp reads the annotations at run time: no `from __future__ import annotations` here.

from typing import Any

from kfp import dsl

EXECUTOR_INPUT = ["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER]


def _command(stage: str, *arguments: object) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="", command=["python", "-m", f"components.{stage}"], args=list(arguments))


@dsl.container_component
def resolve(pointer: str, version: dsl.OutputPath(str)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    """Which content the raw data has now."""
    return _command("resolve", "--pointer", pointer, "--version", version)


@dsl.container_component
def fetch(pointer: str, remote: str, data: dsl.Output[dsl.Dataset]) -> dsl.ContainerSpec:
    """One version of the raw data, by DVC pointer or gs:// prefix."""
    return _command("fetch", "--pointer", pointer, "--remote", remote, "--data", data.path, *EXECUTOR_INPUT)


@dsl.container_component
def prepare(
    config: dict[str, Any], data: dsl.Input[dsl.Dataset], dataset: dsl.Output[dsl.Dataset]
) -> dsl.ContainerSpec:
    """Raw images become a prepared data set."""
    return _command("prepare", "--config", config, "--data", data.path, "--dataset", dataset.path, *EXECUTOR_INPUT)


@dsl.container_component
def check(
    config: dict[str, Any],
    register: dict[str, Any],
    dataset: dsl.Input[dsl.Dataset],
    champion: dsl.OutputPath(str),  # type: ignore[valid-type]
) -> dsl.ContainerSpec:
    """Stops before the training what evaluation (`config`) or registration would refuse; names the champion."""
    return _command(
        "check", "--config", config, "--register", register, "--dataset", dataset.path, "--champion", champion
    )


@dsl.container_component
def train(
    config: dict[str, Any],
    champion: str,
    checkpoints: str,
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    history: dsl.Output[dsl.Artifact],
    samples: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """A generator, its history as CSV and its sample grid as PNG; it may start from the `champion`."""
    return _command(
        "train",
        *("--config", config, "--dataset", dataset.path, "--champion", champion, "--checkpoints", checkpoints),
        *("--model", model.path, "--history", history.path, "--samples", samples.path),
        *EXECUTOR_INPUT,
    )


@dsl.container_component
def evaluate(
    config: dict[str, Any],
    real: dsl.Input[dsl.Dataset],
    generated: dsl.Input[dsl.Model],
    history: dsl.Input[dsl.Artifact],
    champion: str,
    scores: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Scores, shown on the run's page, and the report, with the `champion` beside."""
    return _command(
        "evaluate",
        *("--config", config, "--real", real.path, "--generated", generated.path, "--history", history.path),
        *("--champion", champion),
        *("--scores", scores.path, "--report", report.path),
        *EXECUTOR_INPUT,
    )


@dsl.container_component
def choose(
    config: dict[str, Any],
    models: dsl.Input[list[dsl.Model]],
    evaluations: dsl.Input[list[dsl.Metrics]],
    model: dsl.Output[dsl.Model],
    scores: dsl.Output[dsl.Metrics],
) -> dsl.ContainerSpec:
    """The best generator of a sweep; the lists reach the command in the executor input."""
    return _command("choose", "--config", config, "--model", model.path, "--scores", scores.path, *EXECUTOR_INPUT)


@dsl.container_component
def register(
    config: dict[str, Any],
    model: dsl.Input[dsl.Model],
    scores: dsl.Input[dsl.Metrics],
    registration: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """The generator becomes a version in the registry, and the champion if it is better."""
    return _command(
        "register",
        *("--config", config, "--model", model.path, "--scores", scores.path, "--registration", registration.path),
        *EXECUTOR_INPUT,
    )


@dsl.container_component
def report_status(pipeline: str, status: dsl.PipelineTaskFinalStatus) -> dsl.ContainerSpec:
    """The run's last word."""
    return _command("report_status", "--pipeline", pipeline, "--status", status)
