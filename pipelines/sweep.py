"""The sweep pipeline: several trainings on one prepared data set, of which the best is registered."""
# No `from __future__ import annotations` here: kfp reads the annotations at run time.

from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from pipelines.profile import Profile
from pipelines.stages import Stages


def sweep_pipeline(profile: Profile, image: str) -> BaseComponent:
    """Returns the graph for one profile and image.

    Its inputs are those of the training pipeline with `trials` in place of `train`: a list of `{"train": a whole train
    section, "label": what is special about it}`. All trials are scored under the same protocol, so their scores are
    comparable.
    """
    stages = Stages(f"gan-sweep-{profile.name}", profile, image)

    @dsl.pipeline(
        name=stages.name,
        description="Raw images in, the best of several evaluated generators registered.",
        pipeline_config=stages.pipeline_config(),
    )
    def pipeline(
        prepare: dict[str, Any],
        trials: list,  # type: ignore[type-arg]  # kfp wants the bare type, or Any is refused
        evaluate: dict[str, Any],
        register: dict[str, Any],
        data_pointer: str = "",
        data_remote: str = "",
    ) -> None:
        with stages.exit_handler():
            dataset = stages.prepare(prepare, data_pointer, data_remote)
            with dsl.ParallelFor(trials, name="trials", parallelism=profile.sweep_parallelism) as trial:
                # `trial.train` and not the item itself: the cluster converts an item to text, which a dict input
                # refuses.
                model, scores = stages.train_and_evaluate(trial.train, evaluate, register, dataset, trial.label)
            best_model, best_scores = stages.choose(register, dsl.Collected(model), dsl.Collected(scores))
            stages.register(register, best_model, best_scores)

    return pipeline
