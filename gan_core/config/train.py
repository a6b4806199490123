"""The section `train`."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gan_core.config.section import OR_AUTO, Section, Seed
from gan_core.errors import InvalidInput

Images = Annotated[int, Field(ge=1, le=10**12)]
"""A number of images seen."""
NoneOrImages = Annotated[int, Field(ge=0, le=10**12)]
Width = Annotated[int, Field(ge=1, le=4096)]
"""Channels of a layer. `gan_core.networks.size` limits the combination of widths, growth, depth and batch size."""
# DVC writes on and off without quotes, which YAML 1.1 reads as true and false.
Switch = Annotated[
    Literal["auto", "on", "off"],
    BeforeValidator(lambda value: ("off", "on")[value] if isinstance(value, bool) else value),
]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

_NORMALIZATIONS = {
    "dcgan": ("batch", "spectral", "none"),
    "unet": ("batch", "spectral", "none"),
    "resnet": ("spectral", "none"),
    "r3gan": ("none",),
    "fastgan": ("batch",),
    "text": ("none",),
}


class TrainConfig(Section):
    """Parameters of a training: networks, objective, optimisers, schedules, guards, checkpoints.

    >>> config = TrainConfig.parse(params["train"] | {"loss": "relativistic", "normalization": "none", "r1_weight": 1})
    >>> config.loss, config.r1_weight, config.penalised
    ('relativistic', 1.0, True)
    """

    section = "train"

    seed: Seed
    network: Annotated[Literal["dcgan", "resnet", "r3gan", "fastgan", "unet", "text"], OR_AUTO]
    normalization: Annotated[Literal["batch", "spectral", "none"], OR_AUTO]
    latent_size: Annotated[int, Field(ge=1, le=2**14)]
    generator_width: Annotated[Width, OR_AUTO]
    discriminator_width: Annotated[Width, OR_AUTO]
    growth: Annotated[int, Field(ge=1, le=64), OR_AUTO]
    depth: Annotated[int, Field(ge=1, le=64), OR_AUTO]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    conditional: Switch
    balanced_classes: Annotated[bool, OR_AUTO]
    loss: Annotated[Literal["minimax", "non_saturating", "hinge", "wasserstein", "relativistic"], OR_AUTO]
    reconstruction: Annotated[Literal["none", "l1", "l2"], OR_AUTO]
    reconstruction_weight: Annotated[Weight, OR_AUTO]
    r1_weight: Weight
    r2_weight: Weight
    gradient_penalty_weight: Annotated[Weight, OR_AUTO]
    penalty_interval: Annotated[int, Field(ge=1, le=10**4)]
    augment: Annotated[tuple[Literal["color", "translation", "cutout", "time_translation"], ...], OR_AUTO]
    augment_probability: Annotated[Share, OR_AUTO]
    augment_target: Share
    steps: Annotated[int, Field(ge=1, le=10**9), OR_AUTO]
    steps_per_execution: Annotated[int, Field(ge=1, le=10**4), OR_AUTO]
    batch_size: Annotated[int, Field(ge=2, le=2**16)]
    accumulation_steps: Annotated[int, Field(ge=1, le=2**16)]
    discriminator_steps: Annotated[int, Field(ge=1, le=100), OR_AUTO]
    learning_rate: Annotated[float, Field(gt=0), OR_AUTO]
    discriminator_learning_rate_factor: Annotated[float, Field(gt=0)]
    beta_1: Annotated[float, Field(ge=0, lt=1)]
    beta_2: Annotated[float, Field(ge=0, lt=1), OR_AUTO]
    schedule: Literal["constant", "linear", "cosine"]
    schedule_images: Images
    final_learning_rate: Weight
    final_beta_2: Annotated[float, Field(ge=0, lt=1)]
    final_penalty_factor: Weight
    final_augment_probability: Annotated[Share, OR_AUTO]
    ema_half_life_images: Annotated[Weight, OR_AUTO]
    ema_ramp: Weight
    log_every_images: Images
    samples_every_images: Images
    score_every_images: NoneOrImages
    score_samples: Annotated[int, Field(ge=2, le=10**6)]
    patience_images: NoneOrImages
    checkpoint_every_seconds: Weight
    checkpoints_kept: Annotated[int, Field(ge=1, le=10**4)]
    recovery_learning_rate_factor: Annotated[float, Field(ge=0, lt=1)]
    collapse_diversity: Annotated[float, Field(ge=0, lt=1)]
    winning_accuracy: Annotated[float, Field(gt=0.5, le=1)]
    distribution: Literal["auto", "single", "mirrored", "multi_worker"]
    xla: Switch
    mixed_precision: Switch
    warm_start: str

    @field_validator("warm_start")
    @classmethod
    def _warm_start_names_a_version(cls, warm_start: str) -> str:
        if not re.fullmatch(r"none|champion|models:/[A-Za-z0-9_. -]+(@[A-Za-z0-9_.-]+|/[0-9]+)", warm_start):
            raise ValueError("must be none, champion, or a registered version such as models:/cats-64x64x3@champion")
        return warm_start

    @property
    def paired(self) -> bool:
        """Whether the generator transforms an input image into an image."""
        return self.network == "unet"

    @property
    def self_supervised(self) -> bool:
        """Whether the discriminator also learns to reconstruct real images."""
        return self.network == "fastgan"

    def resolved(self, *, labelled: bool) -> Self:
        """Replaces `conditional=auto` by on if the images are labelled and the GAN is not paired, otherwise by off."""
        if self.conditional != "auto":
            return self
        return self.model_copy(update={"conditional": "on" if labelled and not self.paired else "off"})

    @property
    def takes_labels(self) -> bool:
        """Whether the networks take the images' classes.

        Raises:
            InvalidInput: `conditional` is auto.
        """
        if self.conditional == "auto":
            raise InvalidInput(
                "The parameter 'train.conditional' must be on or off to build a GAN or its batches: replace auto with "
                "`config.resolved(labelled=…)`. Received: conditional='auto'"
            )
        return self.conditional == "on"

    @property
    def penalised(self) -> bool:
        """Whether the discriminator's loss has a penalty on its gradient."""
        return self.r1_weight + self.r2_weight + self.gradient_penalty_weight > 0

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.automatic:
            return self  # `gan_core.recipes` replaces what is auto, and checks the whole again
        for rule, broken, names in (
            (
                "'train.reconstruction_weight' must be 0 if 'reconstruction' is none, and above 0 otherwise",
                (self.reconstruction == "none") != (self.reconstruction_weight == 0),
                ("reconstruction", "reconstruction_weight"),
            ),
            (
                "'train.normalization' must be batch, spectral or none for dcgan and unet, spectral or none for "
                "resnet, none for r3gan and text, and batch for fastgan",
                self.normalization not in _NORMALIZATIONS[self.network],
                ("network", "normalization"),
            ),
            (
                "'train.normalization' must not be batch with a gradient penalty or the relativistic loss, because "
                "they need logits that each depend on one example alone",
                self.normalization == "batch" and (self.penalised or self.loss == "relativistic"),
                ("normalization", "loss", "r1_weight", "r2_weight", "gradient_penalty_weight"),
            ),
            (
                "'train.gradient_penalty_weight' must be above 0 with the wasserstein loss, which needs a "
                "discriminator with a bounded gradient",
                self.loss == "wasserstein" and self.gradient_penalty_weight == 0,
                ("loss", "gradient_penalty_weight"),
            ),
            (
                "'train.depth' must be 1 for unet and fastgan, whose layers at each resolution are fixed",
                self.depth > 1 and self.network in ("unet", "fastgan"),
                ("network", "depth"),
            ),
            (
                "'train.growth' must be 1 for text, whose layers all have the same width",
                self.growth > 1 and self.network == "text",
                ("network", "growth"),
            ),
            (
                "'train.conditional' must not be on for unet, because its input image takes the place of the class",
                self.conditional == "on" and self.paired,
                ("network", "conditional"),
            ),
            (
                "'train.augment_probability', 'final_augment_probability' and 'augment_target' must be 0 if "
                "'augment' is empty",
                not self.augment
                and self.augment_probability + self.final_augment_probability + self.augment_target > 0,
                ("augment", "augment_probability", "final_augment_probability", "augment_target"),
            ),
            (
                "'train.augment' must be empty if its probability is always 0: set 'augment_probability', "
                "'augment_target', or 'final_augment_probability' with a schedule",
                bool(self.augment)
                and self.augment_probability + self.augment_target == 0
                and (self.schedule == "constant" or self.final_augment_probability == 0),
                ("augment", "augment_probability", "augment_target", "schedule", "final_augment_probability"),
            ),
            (
                "'train.penalty_interval' must be 1 if all penalty weights are 0",
                self.penalty_interval > 1 and not self.penalised,
                ("penalty_interval", "r1_weight", "r2_weight", "gradient_penalty_weight"),
            ),
            (
                "'train.batch_size' must be a multiple of 'accumulation_steps'",
                self.batch_size % self.accumulation_steps != 0,
                ("batch_size", "accumulation_steps"),
            ),
            (
                "'train.patience_images' must be 0 if 'score_every_images' is 0",
                self.patience_images > 0 and self.score_every_images == 0,
                ("patience_images", "score_every_images"),
            ),
        ):
            if broken:
                received = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
                raise ValueError(f"The parameter {rule}. Received: {received}")
        return self
