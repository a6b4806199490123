"""The training pipeline: resolve → fetch → prepare → check → train → evaluate → register, then report-status."""
# No `from __future__ import annotations` here: kfp reads the annotations at run time.

from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from pipelines.profile import Profile
from pipelines.stages import Stages


def training_pipeline(profile: Profile, image: str) -> BaseComponent:
    """Returns the graph for one profile and image.

    Its inputs are the sections of params.yaml, and the raw data as `data_pointer` and `data_remote`. `data_pointer` is
    one of: the text of a .dvc file or of an entry of dvc.lock; the gs:// address of a .dvc file, which is followed; a
    gs:// prefix; or empty if `prepare.source` names a built-in data set. `data_remote` is the address of the DVC remote
    that has the content of a .dvc file or an entry of dvc.lock.
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
