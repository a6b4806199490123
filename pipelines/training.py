"""The training pipeline: resolve → fetch → prepare → check → train → evaluate → register, then a report of its end."""
# kfp reads the annotations at run time: no `from __future__ import annotations` here.

from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from pipelines.profile import Profile
from pipelines.stages import Stages


def training_pipeline(profile: Profile, image: str) -> BaseComponent:
    """The graph for one profile and image.

    Its inputs are the sections of params.yaml, and the raw data: `data_pointer` is the text of a .dvc file or of an
    entry of dvc.lock, or the gs:// address of a .dvc file, which is followed, with `data_remote` the address of the
    DVC remote that has the content; or a gs:// prefix; or empty where `prepare.source` names a built-in data set.
    """
    stages = Stages(f"gan-training-{profile.name}", profile, image)

    @dsl.pipeline(
        name=stages.name,
        description="Raw images in, an evaluated and registered generator out.",
        pipeline_config=stages.pipeline_config(),
    )
    def pipeline(
        prepare: dict[str, Any],
        train: dict[str, Any],
        evaluate: dict[str, Any],
        register: dict[str, Any],
        data_pointer: str = "",
        data_remote: str = "",
    ) -> None:
        with stages.exit_handler():
            dataset = stages.prepare(prepare, data_pointer, data_remote)
            model, scores = stages.train_and_evaluate(train, evaluate, register, dataset)
            stages.register(register, model, scores)

    return pipeline
