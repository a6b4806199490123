"""The stages as container components: each runs the same command as in dvc.yaml, with Kubeflow's paths.

If no value is passed for an input with a default, the cluster does not pass the default to a container component, and
the placeholder fails. So no input has a default. The image is set on the task.
"""
# No `from __future__ import annotations` here: kfp reads the annotations at run time.

from typing import Any

from kfp import dsl

EXECUTOR_INPUT = ["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER]


def _command(stage: str, *arguments: object) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="", command=["python", "-m", f"components.{stage}"], args=list(arguments))


@dsl.container_component
def resolve(pointer: str, version: dsl.OutputPath(str)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    """Resolves the current version of the raw data."""
    return _command("resolve", "--pointer", pointer, "--version", version)


@dsl.container_component
def fetch(pointer: str, remote: str, data: dsl.Output[dsl.Dataset]) -> dsl.ContainerSpec:
    """Fetches one version of the raw data, by DVC pointer or gs:// prefix."""
    return _command("fetch", "--pointer", pointer, "--remote", remote, "--data", data.path, *EXECUTOR_INPUT)


@dsl.container_component
def prepare(
    config: dict[str, Any], data: dsl.Input[dsl.Dataset], dataset: dsl.Output[dsl.Dataset]
) -> dsl.ContainerSpec:
    """Makes a prepared data set from raw images."""
    return _command("prepare", "--config", config, "--data", data.path, "--dataset", dataset.path, *EXECUTOR_INPUT)


@dsl.container_component
def check(
    config: dict[str, Any],
    register: dict[str, Any],
    dataset: dsl.Input[dsl.Dataset],
    trial: str,
    champion: dsl.OutputPath(str),  # type: ignore[valid-type]
) -> dsl.ContainerSpec:
    """Fails before the training if evaluation (`config`) or registration would fail later; names the champion."""
    return _command(
        "check",
        *("--config", config, "--register", register, "--dataset", dataset.path),
        *("--trial", trial, "--champion", champion),
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
    samples_page: dsl.Output[dsl.HTML],
    records: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Trains a generator, optionally from the `champion`; writes its history as CSV and its sample grid as PNG.

    `records` takes what MLflow did not receive out of the pod; the evaluation sends it.
    """
    return _command(
        "train",
        *("--config", config, "--dataset", dataset.path, "--champion", champion, "--checkpoints", checkpoints),
        *("--model", model.path, "--history", history.path, "--samples", samples.path),
        *("--samples-page", samples_page.path, "--records", records.path),
        *EXECUTOR_INPUT,
    )


@dsl.container_component
def evaluate(
    config: dict[str, Any],
    real: dsl.Input[dsl.Dataset],
    generated: dsl.Input[dsl.Model],
    history: dsl.Input[dsl.Artifact],
    records: dsl.Input[dsl.Artifact],
    champion: str,
    trial: str,
    scores: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Scores the model and the `champion`; writes the scores, which the run's page shows, and the report."""
    return _command(
        "evaluate",
        *("--config", config, "--real", real.path, "--generated", generated.path, "--history", history.path),
        *("--records", records.path, "--champion", champion, "--trial", trial),
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
    """Chooses the best generator of a sweep; the command reads the lists from the executor input."""
    return _command("choose", "--config", config, "--model", model.path, "--scores", scores.path, *EXECUTOR_INPUT)


@dsl.container_component
def register(
    config: dict[str, Any],
    model: dsl.Input[dsl.Model],
    scores: dsl.Input[dsl.Metrics],
    registration: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Registers the generator as a version, and makes it the champion if it is better."""
    return _command(
        "register",
        *("--config", config, "--model", model.path, "--scores", scores.path, "--registration", registration.path),
        *EXECUTOR_INPUT,
    )


@dsl.container_component
def report_status(pipeline: str, status: dsl.PipelineTaskFinalStatus) -> dsl.ContainerSpec:
    """Reports the run's final status."""
    return _command("report_status", "--pipeline", pipeline, "--status", status)
