"""Runs the containers of the image's tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import Mount

ROOT = Path(__file__).resolve().parents[2]
_SIZES = [
    *("train.steps=60", "train.latent_size=8", "train.generator_width=8", "train.discriminator_width=8"),
    *("train.batch_size=32", "train.log_every_images=320", "train.samples_every_images=960"),
    *("evaluate.samples=300", "evaluate.sampling_seeds=2", "evaluate.kid_subsets=10", "evaluate.kid_subset_size=100"),
]
# Parameters of a small run for each modality.
SMALL = {
    "image": [*_SIZES, "prepare.source=digits", "prepare.image.height=16", "prepare.image.width=16"],
    "audio": [
        *(*_SIZES, "prepare.source=speech", "prepare.audio.rate=1000", "prepare.audio.samples=256"),
        *("prepare.audio.frame_length=32", "prepare.audio.frame_step=16"),
    ],
    "text": [
        *(*_SIZES, "prepare.source=names", "train.network=text", "train.normalization=none", "train.growth=1"),
        *("train.loss=wasserstein", "train.gradient_penalty_weight=10.0"),
        *("evaluate.extractor=ngram", "register.score=fd_ngram"),
    ],
}
NO_SHELL = Mount("/bin/sh", "/dev/null", type="bind", read_only=True)
# The strictest settings of a cluster: no network, only /tmp is writable, no privileges, no shell.
STRICT: dict[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "tmpfs": {"/tmp": "size=1g,mode=1777"},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mounts": [NO_SHELL],
}


@dataclass(frozen=True)
class LocalRun:
    """A pipeline that kfp.local ran.

    Attributes:
        succeeded: whether the run succeeded.
        log: the output of all steps.
        root: the pipeline root, with the outputs of each task and MLflow's database and files.
    """

    succeeded: bool
    log: str
    root: Path

    def output(self, task: str, name: str) -> Path:
        """Returns the path of one output of one task."""
        (found,) = self.root.glob(f"*/{task}/{name}")
        return found


Run = Callable[..., tuple[int, str]]
RunPipeline = Callable[..., LocalRun]
