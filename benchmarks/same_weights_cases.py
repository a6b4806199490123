"""The trainings that same_weights.py compares, as changes of the train section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Case(NamedTuple):
    """One or more trainings that share their checkpoints. The last one is compared.

    Attributes:
        trainings: each training's changes of SMALL.
        data: one of DATA.
        hosts: number of processes that train together.
    """

    trainings: tuple[Mapping[str, Any], ...]
    data: str = "grey"
    hosts: int = 1


MODEL = "same-weights"
DATA: dict[str, dict[str, Any]] = {
    "grey": {"source": "digits", "image": {"height": 16, "width": 16}},
    "colour": {"source": "digits", "image": {"height": 32, "width": 32, "channels": 3, "fit": "pad"}},
    "inpainting": {"source": "digits", "image": {"height": 16, "width": 16, "pairs": "inpainting"}},
    "super_resolution": {"source": "digits", "image": {"height": 16, "width": 16, "pairs": "super_resolution"}},
    "clothes": {"source": "embedded", "image": {"height": 28, "width": 28}},
}
SMALL = {
    "latent_size": 8,
    "generator_width": 8,
    "discriminator_width": 8,
    "growth": 2,
    "conditional": "off",
    "steps": 50,
    "steps_per_execution": 1,
    "batch_size": 8,
    "log_every_images": 100,
    "samples_every_images": 200,
    "score_every_images": 0,
    "score_samples": 64,
    "ema_half_life_images": 100,
}
_NETWORKS = {
    "dcgan": {"normalization": "batch"},
    "resnet": {"normalization": "spectral"},
    "r3gan": {"normalization": "none"},
    "fastgan": {"normalization": "batch"},
    "unet": {"normalization": "batch"},
}
_LOSSES: dict[str, dict[str, Any]] = {
    "minimax": {},
    "non_saturating": {},
    "hinge": {},
    "wasserstein": {"normalization": "none", "gradient_penalty_weight": 10.0},
    "relativistic": {"normalization": "none", "r1_weight": 0.5, "r2_weight": 0.5},
}
_PENALISED = {"normalization": "none", "r1_weight": 0.5, "r2_weight": 0.25, "gradient_penalty_weight": 2.0}
_AUGMENTED = {"augment": ["color", "translation", "cutout"], "augment_probability": 0.5}
_SCHEDULED = {
    **_PENALISED,
    **_AUGMENTED,
    "schedule_images": 300,
    "final_learning_rate": 0.0001,
    "final_beta_2": 0.9,
    "final_penalty_factor": 0.1,
    "final_augment_probability": 0.1,
}
_EVERYTHING = {
    **_AUGMENTED,
    "augment_target": 0.6,
    "loss": "relativistic",
    "normalization": "none",
    "conditional": "on",
    "dropout": 0.2,
    "r1_weight": 0.5,
    "r2_weight": 0.5,
    "penalty_interval": 4,
    "accumulation_steps": 2,
    "discriminator_steps": 2,
}


def _one(data: str = "grey", hosts: int = 1, **changes: Any) -> Case:
    return Case((changes,), data, hosts)


CASES = {
    f"{network} {loss}": _one(
        "inpainting" if network == "unet" else "grey", network=network, loss=loss, **{**own, **_LOSSES[loss]}
    )
    for network, own in _NETWORKS.items()
    for loss in _LOSSES
    if "normalization" not in _LOSSES[loss] or network != "fastgan"  # whose batch norm these losses exclude
} | {
    **{
        f"{name} conditional": _one(network=name, conditional="on", **_NETWORKS[name])
        for name in ("dcgan", "resnet", "fastgan")
    },
    "r3gan conditional": _one(network="r3gan", normalization="none", conditional="on", depth=2),
    "balanced classes": _one(conditional="on", balanced_classes=True),
    "28 pixels": _one("clothes", conditional="auto", steps_per_execution=4),
    "colour": _one("colour", normalization="spectral", growth=4, depth=2),
    "dropout": _one(dropout=0.4),
    "super resolution": _one("super_resolution", network="unet", reconstruction="l1", reconstruction_weight=10.0),
    "inpainting, l2": _one("inpainting", network="unet", reconstruction="l2", reconstruction_weight=10.0),
    "reconstruction without pairs": _one(reconstruction="l1", reconstruction_weight=1.0),
    "accumulation": _one(accumulation_steps=4, normalization="none", conditional="on", dropout=0.2),
    "two discriminator steps": _one(discriminator_steps=2, discriminator_learning_rate_factor=2.0),
    "r1": _one(normalization="none", r1_weight=0.5),
    "r2": _one(normalization="none", r2_weight=0.5),
    "lazy penalties": _one(**_PENALISED, penalty_interval=4, steps_per_execution=3),
    **{name: _one(augment=[name], augment_probability=0.5) for name in _AUGMENTED["augment"]},
    "adaptive augmentation": _one(**_AUGMENTED, augment_target=0.6),
    "linear schedule": _one(schedule="linear", **_SCHEDULED),
    "cosine schedule": _one(schedule="cosine", **_SCHEDULED),
    "scores": _one(score_every_images=150, conditional="on"),
    "mixed precision": _one(mixed_precision="on"),
    "mixed precision, r3gan": _one(network="r3gan", normalization="none", mixed_precision="on"),
    "xla": _one(xla="on"),
    "everything": _one(**_EVERYTHING),
    "resumed": Case((_EVERYTHING | {"steps": 20}, _EVERYTHING)),
    "warm start": _one(conditional="on", warm_start=f"models:/{MODEL}@champion"),
    "two replicas": _one(hosts=2, distribution="multi_worker", conditional="on"),
    "two replicas, everything": _one(hosts=2, distribution="multi_worker", **_EVERYTHING),
}
