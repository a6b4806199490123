"""One training of quality.py in a separate process: `python -m benchmarks.timed_training SPECIFICATION FOLDER`.

SPECIFICATION is JSON. FOLDER, with samples and `training.json`, appears when the training has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from benchmarks import tutorial_dcgan
from benchmarks.official_split import ArrayDataset, official_split
from benchmarks.recorder import Recorder
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage.output_kinds import Kind
from components.storage.outputs import Output, whole_output
from gan_core.config import TrainConfig

_ENDLESS = 10**9


class Specification(BaseModel):
    """The settings that determine a timed training.

    Attributes:
        side: name of the side in the tables.
        trainer: the project's training loop or the peer's.
        settings: the train section or the peer's settings.
        seed: seed of the training and of its samples.
        moments: seconds of training after which samples are drawn; the last one ends it.
        samples: number of samples at each moment.
        at_once: number of trainings that share the machine, including this one.
    """

    model_config = ConfigDict(frozen=True)

    side: str
    trainer: Literal["project", "tutorial"]
    settings: dict[str, Any]
    seed: int
    moments: tuple[float, ...]
    samples: int
    at_once: int


def run(specification: Specification, folder: Path) -> None:
    """Trains in a new process on the processors of the calling thread, and waits for it.

    Raises:
        CalledProcessError: the training failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    if one_dnn := specification.settings.get("one_dnn"):
        environment["TF_ENABLE_ONEDNN_OPTS"] = one_dnn
    command = [sys.executable, "-m", "benchmarks.timed_training", specification.model_dump_json(), str(folder)]
    subprocess.run(command, check=True, env=environment)  # noqa: S603


class _Hooks:
    """Calls the recorder after every step of the project's own loop."""

    def __init__(self, gan: Any, recorder: Recorder) -> None:
        self._gan, self._recorder = gan, recorder

    def on_step(self, images_seen: int) -> None:
        self._recorder.after_step(images_seen, self._draw)

    def _draw(self, latents: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float32]:
        images: NDArray[np.float32] = self._gan.sample(latents, labels if self._gan.classes else None)
        return images

    def on_row(self, row: Any) -> None:
        pass

    def on_samples(self, images_seen: int, images: Any) -> None:
        pass

    def stop_requested(self) -> bool:
        return self._recorder.finished


def _train_project(specification: Specification, dataset: ArrayDataset, folder: Path) -> tuple[Recorder, str]:
    """Runs the full training loop, with rows, sample grids, guards and checkpoints."""
    configure_tensorflow()
    from gan_core.training.batches import RealBatches
    from gan_core.training.checkpoints import Checkpoints
    from gan_core.training.guards import Diverged
    from gan_core.training.loop import Training
    from gan_core.training.state import Gan

    config = TrainConfig.parse(specification.settings | {"seed": specification.seed, "steps": _ENDLESS})
    config = config.resolved(labelled=True)
    classes = len(dataset.manifest.classes)
    gan = Gan(config, dataset.manifest.shape, classes if config.conditional == "on" else 0)
    recorder = Recorder(
        folder,
        specification.moments,
        count=specification.samples,
        latent_size=config.latent_size,
        classes=classes,
        seed=specification.seed,
        compiling_steps=2 if config.penalty_interval > 1 else 1,  # the step with penalties and the step without
    )
    with tempfile.TemporaryDirectory() as workplace, Checkpoints(Path(workplace), config.checkpoints_kept) as kept:
        try:
            Training(gan, RealBatches(dataset.split("train"), config), kept).run(_Hooks(gan, recorder))
        except Diverged as error:
            return recorder, str(error)
    return recorder, recorder.failure


def _train_tutorial(specification: Specification, dataset: ArrayDataset, folder: Path) -> tuple[Recorder, str]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    recorder = Recorder(
        folder,
        specification.moments,
        count=specification.samples,
        latent_size=tutorial_dcgan.LATENT_SIZE,
        classes=1,
        seed=specification.seed,
    )
    train = dataset.split("train")
    images = train.images(np.arange(train.count))
    tutorial_dcgan.train(images, specification.settings, specification.seed, recorder)
    return recorder, recorder.failure


_TIMED = Kind("a timed training", lambda _: False, "training.json")


def main() -> None:
    """Trains with the specification from the command line."""
    specification = Specification.model_validate_json(sys.argv[1])
    dataset = official_split()
    with whole_output(Output(Path(sys.argv[2]), _TIMED)) as folder:
        folder.mkdir()
        train = {"project": _train_project, "tutorial": _train_tutorial}[specification.trainer]
        recorder, failure = train(specification, dataset, folder)
        found = {"specification": specification.model_dump(), "rows": recorder.rows, "failure": failure}
        (folder / "training.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
