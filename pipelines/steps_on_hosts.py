"""The steps that differ in a profile with several hosts, where a TrainJob of Kubeflow Trainer trains."""
# No `from __future__ import annotations` here: kfp reads the annotations at run time.

from typing import Any

from kfp import dsl

from pipelines.steps import EXECUTOR_INPUT


@dsl.container_component
def train(
    config: dict[str, Any],
    champion: str,
    checkpoints: str,
    job: dict[str, Any],
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    history: dsl.Output[dsl.Artifact],
    samples: dsl.Output[dsl.Artifact],
    samples_page: dsl.Output[dsl.HTML],
    records: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Trains as the step of the same name in `steps`, on the hosts of the TrainJob `job`."""
    return dsl.ContainerSpec(
        image="",
        command=["python", "-m", "components.train_on_hosts"],
        args=[
            *("--config", config, "--dataset", dataset.path, "--champion", champion, "--checkpoints", checkpoints),
            *("--job", job, "--model", model.path, "--history", history.path, "--samples", samples.path),
            *("--samples-page", samples_page.path, "--records", records.path),
            *EXECUTOR_INPUT,
        ],
    )


@dsl.container_component
def report_status(pipeline: str, status: dsl.PipelineTaskFinalStatus) -> dsl.ContainerSpec:
    """Reports the run's final status, and deletes the TrainJobs of a run that did not succeed."""
    return dsl.ContainerSpec(
        image="",
        command=["python", "-m", "components.report_status"],
        args=["--pipeline", pipeline, "--status", status, "--delete-trainjobs"],
    )
