"""The steps of both pipelines, placed by the profile and retried where that is safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from pipelines import steps, steps_on_hosts
from pipelines.profile import Profile, Step
from pipelines.trainjob import trainjob


@dataclass(frozen=True)
class Stages:
    """The steps of the pipeline `name`, which run `image`. Call the methods in a pipeline function."""

    name: str
    profile: Profile
    image: str

    def pipeline_config(self) -> dsl.PipelineConfig:
        """Returns the deadline of a run, and how long a finished run is kept."""
        return dsl.PipelineConfig(
            ttl_seconds_after_finished=self.profile.run_ttl_seconds,
            active_deadline_seconds=self.profile.run_deadline_seconds,
        )

    def exit_handler(self) -> dsl.ExitHandler:
        """Returns the context of all steps, after which the run's final status is reported."""
        report = (steps_on_hosts if self.profile.train.hosts > 1 else steps).report_status
        task = self._retried(report(pipeline=self.name), "report-status")
        task.set_caching_options(False)
        return dsl.ExitHandler(task, name="stages")

    def prepare(self, config: Any, data_pointer: Any, data_remote: Any) -> Any:
        """Fetches and prepares the current data; returns the prepared data set.

        Resolving the current version is never cached. The other steps come from the cache while the version is the
        same.
        """
        resolved = self._retried(steps.resolve(pointer=data_pointer), "resolve")
        resolved.set_caching_options(False)
        fetched = self._retried(steps.fetch(pointer=resolved.outputs["version"], remote=data_remote), "fetch")
        prepared = self._retried(steps.prepare(config=config, data=fetched.outputs["data"]), "prepare")
        return prepared.outputs["dataset"]

    def train_and_evaluate(
        self, train: Any, evaluate: Any, register: Any, dataset: Any, trial: Any = ""
    ) -> tuple[Any, Any]:
        """Checks the later steps' requirements, trains and evaluates; returns the model and its scores.

        The check is a separate step so that the sections evaluate and register are not inputs of the training.
        Otherwise a change of the evaluation or of the registration rule would invalidate the training's cache entry. In
        a sweep each trial repeats the check, because the SDK's local runner passes the loop item to a loop's steps in
        place of an output from outside the loop. The check has the trial's label as an input, so a trial without one
        fails before its training and not when its evaluation begins.
        """
        checked = self._retried(steps.check(config=evaluate, register=register, dataset=dataset, trial=trial), "check")
        champion = checked.outputs["champion"]
        given = {"config": train, "champion": champion, "checkpoints": self.profile.checkpoints, "dataset": dataset}
        if self.profile.train.hosts > 1:
            task = steps_on_hosts.train(**given, job=trainjob(self.profile, self.image))
        else:
            task = steps.train(**given)
        trained = self._retried(task, "train")
        evaluated = self._retried(
            steps.evaluate(
                config=evaluate,
                real=dataset,
                generated=trained.outputs["model"],
                history=trained.outputs["history"],
                records=trained.outputs["records"],
                champion=champion,
                trial=trial,
            ),
            "evaluate",
        )
        return trained.outputs["model"], evaluated.outputs["scores"]

    def choose(self, config: Any, models: Any, evaluations: Any) -> tuple[Any, Any]:
        """Returns the best of the models and its scores."""
        chosen = self._retried(steps.choose(config=config, models=models, evaluations=evaluations), "choose")
        return chosen.outputs["model"], chosen.outputs["scores"]

    def register(self, config: Any, model: Any, scores: Any) -> None:
        """Registers the model. The step is never cached, because it has an effect outside the pipeline.

        It is retried like the other steps: repeating a registration changes nothing.
        """
        task = self._retried(steps.register(config=config, model=model, scores=scores), "register")
        task.set_caching_options(False)

    def _retried(self, task: Any, step: Step) -> Any:
        """Places a step and sets its retries, for services that fail and spot pods that are taken away."""
        profile = self.profile
        profile.place(task, step, self.image)
        return task.set_retry(
            num_retries=profile.resources(step).retries,
            backoff_duration=f"{profile.retry_after_seconds}s",
            backoff_factor=2,
            # In Argo this is not the longest pause, but the time after the first try in which retries may begin.
            backoff_max_duration=f"{profile.run_deadline_seconds}s",
        )
