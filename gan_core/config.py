"""Types and limits of every parameter. The values stand in params.yaml alone, so nothing here has a default.

Kubeflow stores a dict input as a protobuf Struct, which turns every integer into a float: 10.0 is read as 10, and
10.5 for an integer is refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gan_core.errors import InvalidInput
from gan_core.networks.shapes import RESOLUTIONS

PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Switch = Literal["auto", "on", "off"]


class Section(BaseModel):
    """One section of params.yaml: immutable, every key required, unknown keys and non-finite numbers refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Checks `values` and returns the section.

        Raises:
            InvalidInput: one line for each wrong key, with the rule and the value received.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidInput("\n".join(_sentence(entry) for entry in error.errors())) from None


def _sentence(entry: Any) -> str:
    key = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "missing":
        return f"The parameter '{key}' is missing."
    if entry["type"] == "extra_forbidden":
        return f"There is no parameter '{key}'. Received: {key}={entry['input']!r}"
    rule = entry["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must", 1)
    if not key:
        return rule if entry["type"] == "value_error" else f"The parameters {rule}. Received: {entry['input']!r}"
    return f"The parameter '{key}' {rule}. Received: {key}={entry['input']!r}"


class PrepareConfig(Section):
    """How raw images become a prepared data set."""

    source: Annotated[str, Field(min_length=1)]
    resolution: int
    channels: Literal[1, 3]
    fit: Literal["center_crop", "pad"]
    background: Annotated[int, Field(ge=0, le=255)]
    held_out_fraction: Annotated[float, Field(gt=0, lt=1)]
    max_rejected_fraction: Annotated[float, Field(ge=0, lt=1)]
    max_image_megapixels: Annotated[float, Field(gt=0)]
    images_per_shard: PositiveInt
    seed: Seed

    @model_validator(mode="after")
    def _resolution_fits_the_networks(self) -> Self:
        if self.resolution not in RESOLUTIONS:
            raise ValueError(
                f"The parameter 'resolution' must be 28 or a power of two from 16 to 256. "
                f"Received: resolution={self.resolution}"
            )
        return self


class TrainConfig(Section):
    """Networks, objective, optimisers and bookkeeping of one training."""

    seed: Seed
    network: Literal["dcgan"]
    latent_size: PositiveInt
    generator_width: PositiveInt
    discriminator_width: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]
    loss: Literal["minimax", "non_saturating"]
    reconstruction: Literal["none", "l1", "l2"]
    reconstruction_weight: Annotated[float, Field(ge=0)]
    steps: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    discriminator_steps: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)]
    beta_1: Annotated[float, Field(ge=0, lt=1)]
    beta_2: Annotated[float, Field(ge=0, lt=1)]
    ema_half_life_images: Annotated[float, Field(ge=0)]
    log_every_images: PositiveInt
    samples_every_images: PositiveInt
    checkpoint_every_seconds: Annotated[float, Field(ge=0)]
    checkpoints_kept: PositiveInt
    collapse_diversity: Annotated[float, Field(ge=0, lt=1)]
    xla: Switch
    mixed_precision: Switch
    warm_start: str

    @field_validator("warm_start")
    @classmethod
    def _warm_start_names_a_version(cls, warm_start: str) -> str:
        if not re.fullmatch(r"none|models:/[A-Za-z0-9_. -]+(@[A-Za-z0-9_.-]+|/[0-9]+)", warm_start):
            raise ValueError("must be none, or a registered version such as models:/generator@champion")
        return warm_start

    @model_validator(mode="after")
    def _reconstruction_has_a_weight(self) -> Self:
        if (self.reconstruction == "none") != (self.reconstruction_weight == 0):
            raise ValueError(
                "The parameter 'reconstruction_weight' must be 0 without a reconstruction term and above 0 with one. "
                f"Received: reconstruction={self.reconstruction!r}, reconstruction_weight={self.reconstruction_weight}"
            )
        return self


class EvaluateConfig(Section):
    """How a generator is scored."""

    extractor: Literal["classifier", "inception"]
    inception_weights: str
    resize: Literal["legacy_tensorflow", "legacy_pytorch", "clean"]
    reference: Literal["held_out", "train"]
    metrics: Annotated[tuple[Literal["fid", "kid", "prdc", "memorisation"], ...], Field(min_length=1)]
    samples: Annotated[int, Field(ge=2)]
    sampling_seeds: PositiveInt
    seed: Seed
    batch_size: PositiveInt
    kid_subsets: PositiveInt
    kid_subset_size: Annotated[int, Field(ge=2)]
    bootstrap_replicates: Annotated[int, Field(ge=2)]


class RegisterConfig(Section):
    """When a generator becomes the champion."""

    model_name: str
    score: str
    minimum_improvement: Annotated[float, Field(ge=0, lt=1)]
    spread_multiplier: Annotated[float, Field(ge=0)]

    @field_validator("score")
    @classmethod
    def _score_is_a_distance(cls, score: str) -> str:
        if not re.fullmatch(r"fid(_infinity)?|(fd|fd_infinity|kid)_[a-z0-9_]+", score):
            raise ValueError("must name a distance, which is better when lower: fid, fd_classifier, kid_classifier, …")
        return score

    @field_validator("model_name")
    @classmethod
    def _name_fits_the_registry(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_. -]+", name):
            raise ValueError("must consist of letters, digits, spaces and _ . -")
        return name


class DriftConfig(Section):
    """When new data counts as distributed differently."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    blocks: Annotated[int, Field(ge=2)]
    kid_threshold: Annotated[float, Field(ge=0)]
    class_share_threshold: Annotated[float, Field(ge=0, lt=1)]
