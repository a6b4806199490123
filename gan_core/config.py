"""Types and limits of every parameter. Nothing here has a default, because params.yaml alone holds the values.

Kubeflow stores a dict input as a protobuf Struct, which turns every integer into a float. So an integer parameter
accepts 10.0 as 10 and refuses 10.5.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gan_core.errors import InvalidInput

Images = Annotated[int, Field(ge=1, le=10**12)]
"""A number of images seen."""
NoneOrImages = Annotated[int, Field(ge=0, le=10**12)]
Width = Annotated[int, Field(ge=1, le=4096)]
"""Channels of a layer. `gan_core.networks.size` limits the combination of widths, growth, depth and batch size."""
Seed = Annotated[int, Field(ge=0, lt=2**31)]
# DVC writes on and off without quotes, which YAML 1.1 reads as true and false.
Switch = Annotated[
    Literal["auto", "on", "off"],
    BeforeValidator(lambda value: ("off", "on")[value] if isinstance(value, bool) else value),
]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Pairs = Literal["none", "inpainting", "super_resolution"]

RESOLUTIONS = (16, 28, 32, 64, 128, 256)
"""Heights and widths of images that the networks can make, pixels."""
FEATURE_SIZES = {"classifier": 64, "random": 128, "inception": 2048}
"""Numbers in a feature vector of each extractor."""
MOST_FEATURE_BYTES = 2**32

_NORMALIZATIONS = {
    "dcgan": ("batch", "spectral", "none"),
    "unet": ("batch", "spectral", "none"),
    "resnet": ("spectral", "none"),
    "r3gan": ("none",),
}


class Section(BaseModel):
    """One section of params.yaml. It is immutable, requires every key and refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_boolean_as_number(cls, value: Any, field: ValidationInfo) -> Any:
        kind = cls.model_fields[str(field.field_name)].annotation
        if isinstance(value, bool) and (kind in (int, float) or {type(one) for one in get_args(kind)} == {int}):
            raise ValueError("must be a number")
        return value

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Checks `values` and returns the section.

        Raises:
            InvalidInput: one line for each wrong key, with the rule and the value received.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidInput("\n".join(_sentence(entry, cls) for entry in error.errors())) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a hint at the known name most similar to `name`; empty if none is similar."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f", the nearest is '{found[0]}'" if found else ""


def _sentence(entry: Any, section: type[Section]) -> str:
    key = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "missing":
        return f"The parameter '{key}' is missing. Received: nothing"
    if entry["type"] == "extra_forbidden":
        hint = nearest(key, section.model_fields)
        return f"There is no parameter '{key}'{hint}. Received: {key}={entry['input']!r}"
    rule = entry["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must", 1)
    if not key:
        return rule if entry["type"] == "value_error" else f"The parameters {rule}. Received: {entry['input']!r}"
    return f"The parameter '{key}' {rule}. Received: {key}={entry['input']!r}"


class PrepareConfig(Section):
    """How raw images become a prepared data set.

    >>> PrepareConfig.parse(params["prepare"] | {"source": "digits", "resolution": 32}).resolution
    32
    """

    source: Annotated[str, Field(min_length=1)]
    resolution: int
    channels: Literal[1, 3]
    fit: Literal["center_crop", "pad"]
    background: Annotated[int, Field(ge=0, le=255)]
    pairs: Pairs
    held_out_fraction: Annotated[float, Field(gt=0, lt=1)]
    max_rejected_fraction: Annotated[float, Field(ge=0, lt=1)]
    max_image_megapixels: Annotated[float, Field(gt=0, le=10**4)]
    images_per_shard: Annotated[int, Field(ge=1, le=2**20)]
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
    """Networks, objective, optimisers, guards and bookkeeping of one training.

    >>> config = TrainConfig.parse(params["train"] | {"loss": "relativistic", "normalization": "none", "r1_weight": 1})
    >>> config.loss, config.r1_weight, config.penalised
    ('relativistic', 1.0, True)
    """

    seed: Seed
    network: Literal["dcgan", "resnet", "r3gan", "unet"]
    normalization: Literal["batch", "spectral", "none"]
    latent_size: Annotated[int, Field(ge=1, le=2**14)]
    generator_width: Width
    discriminator_width: Width
    growth: Annotated[int, Field(ge=1, le=64)]
    depth: Annotated[int, Field(ge=1, le=64)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    conditional: Switch
    balanced_classes: bool
    loss: Literal["minimax", "non_saturating", "hinge", "wasserstein", "relativistic"]
    reconstruction: Literal["none", "l1", "l2"]
    reconstruction_weight: Weight
    r1_weight: Weight
    r2_weight: Weight
    gradient_penalty_weight: Weight
    penalty_interval: Annotated[int, Field(ge=1, le=10**4)]
    augment: tuple[Literal["color", "translation", "cutout"], ...]
    augment_probability: Share
    augment_target: Share
    steps: Annotated[int, Field(ge=1, le=10**9)]
    steps_per_execution: Annotated[int, Field(ge=1, le=10**4)]
    batch_size: Annotated[int, Field(ge=2, le=2**16)]
    accumulation_steps: Annotated[int, Field(ge=1, le=2**16)]
    discriminator_steps: Annotated[int, Field(ge=1, le=100)]
    learning_rate: Annotated[float, Field(gt=0)]
    discriminator_learning_rate_factor: Annotated[float, Field(gt=0)]
    beta_1: Annotated[float, Field(ge=0, lt=1)]
    beta_2: Annotated[float, Field(ge=0, lt=1)]
    schedule: Literal["constant", "linear", "cosine"]
    schedule_images: Images
    final_learning_rate: Weight
    final_beta_2: Annotated[float, Field(ge=0, lt=1)]
    final_penalty_factor: Weight
    final_augment_probability: Share
    ema_half_life_images: Weight
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
        """Whether the generator makes an image from an input image."""
        return self.network == "unet"

    def resolved(self, *, labelled: bool) -> Self:
        """Replaces conditional=auto: on for labelled images, unless the GAN is paired, else off."""
        if self.conditional != "auto":
            return self
        return self.model_copy(update={"conditional": "on" if labelled and not self.paired else "off"})

    @property
    def penalised(self) -> bool:
        """Whether the discriminator's loss has a penalty on its gradient."""
        return self.r1_weight + self.r2_weight + self.gradient_penalty_weight > 0

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for rule, broken, names in (
            (
                "'reconstruction_weight' must be 0 if 'reconstruction' is none, and above 0 otherwise",
                (self.reconstruction == "none") != (self.reconstruction_weight == 0),
                ("reconstruction", "reconstruction_weight"),
            ),
            (
                "'normalization' must be batch, spectral or none for dcgan and unet, spectral or none for resnet, and "
                "none for r3gan",
                self.normalization not in _NORMALIZATIONS[self.network],
                ("network", "normalization"),
            ),
            (
                "'normalization' must not be batch with a gradient penalty or the relativistic loss, because they need "
                "logits that each depend on one image alone",
                self.normalization == "batch" and (self.penalised or self.loss == "relativistic"),
                ("normalization", "loss", "r1_weight", "r2_weight", "gradient_penalty_weight"),
            ),
            (
                "'gradient_penalty_weight' must be above 0 with the wasserstein loss, which needs a discriminator with "
                "a bounded gradient",
                self.loss == "wasserstein" and self.gradient_penalty_weight == 0,
                ("loss", "gradient_penalty_weight"),
            ),
            (
                "'depth' must be 1 for unet, which has one layer at each resolution",
                self.depth > 1 and self.paired,
                ("network", "depth"),
            ),
            (
                "'conditional' must not be on for unet, because its input image takes the place of the class",
                self.conditional == "on" and self.paired,
                ("network", "conditional"),
            ),
            (
                "'augment_probability', 'final_augment_probability' and 'augment_target' must be 0 if 'augment' is "
                "empty",
                not self.augment
                and self.augment_probability + self.final_augment_probability + self.augment_target > 0,
                ("augment", "augment_probability", "final_augment_probability", "augment_target"),
            ),
            (
                "'augment' must be empty if its probability is always 0: set 'augment_probability', 'augment_target', "
                "or 'final_augment_probability' with a schedule",
                bool(self.augment)
                and self.augment_probability + self.augment_target == 0
                and (self.schedule == "constant" or self.final_augment_probability == 0),
                ("augment", "augment_probability", "augment_target", "schedule", "final_augment_probability"),
            ),
            (
                "'penalty_interval' must be 1 if all penalty weights are 0",
                self.penalty_interval > 1 and not self.penalised,
                ("penalty_interval", "r1_weight", "r2_weight", "gradient_penalty_weight"),
            ),
            (
                "'batch_size' must be a multiple of 'accumulation_steps'",
                self.batch_size % self.accumulation_steps != 0,
                ("batch_size", "accumulation_steps"),
            ),
            (
                "'patience_images' must be 0 if 'score_every_images' is 0",
                self.patience_images > 0 and self.score_every_images == 0,
                ("patience_images", "score_every_images"),
            ),
        ):
            if broken:
                received = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
                raise ValueError(f"The parameter {rule}. Received: {received}")
        return self


class EvaluateConfig(Section):
    """How a generator is scored.

    >>> EvaluateConfig.parse(params["evaluate"] | {"metrics": ["fid", "kid"]}).metrics
    ('fid', 'kid')
    """

    extractor: Literal["classifier", "random", "inception"]
    inception_weights: str
    resize: Literal["legacy_tensorflow", "legacy_pytorch", "clean"]
    reference: Literal["held_out", "train"]
    metrics: Annotated[tuple[Literal["fid", "kid", "prdc", "memorisation"], ...], Field(min_length=1)]
    samples: Annotated[int, Field(ge=2)]
    sampling_seeds: Annotated[int, Field(ge=1)]
    seed: Seed
    batch_size: Annotated[int, Field(ge=1, le=2**14)]
    kid_subsets: Annotated[int, Field(ge=1, le=10**4)]
    kid_subset_size: Annotated[int, Field(ge=2, le=10**4)]
    bootstrap_replicates: Annotated[int, Field(ge=2, le=10**4)]

    @model_validator(mode="after")
    def _features_fit_in_memory(self) -> Self:
        dimensions = FEATURE_SIZES[self.extractor]
        # float32 features, and a float64 covariance for each sampling seed
        if self.sampling_seeds * (self.samples + 2 * dimensions) * dimensions * 4 > MOST_FEATURE_BYTES:
            raise ValueError(
                "The parameter 'samples' or 'sampling_seeds' must be smaller: the features of all generated images "
                f"({dimensions} numbers of 4 bytes each) and their covariances must fit into {MOST_FEATURE_BYTES} "
                f"bytes. Received: samples={self.samples}, sampling_seeds={self.sampling_seeds}, "
                f"extractor={self.extractor!r}"
            )
        return self


class RegisterConfig(Section):
    """The model under which generators are registered, and the rule that makes one its champion.

    >>> RegisterConfig.parse(params["register"] | {"score": "kid_classifier"}).score
    'kid_classifier'
    """

    model_name: str
    score: str
    minimum_improvement: Annotated[float, Field(ge=0, lt=1)]
    spread_multiplier: Annotated[float, Field(ge=0)]

    @field_validator("score")
    @classmethod
    def _score_is_a_distance(cls, score: str) -> str:
        if not re.fullmatch(r"fid(_infinity)?|(fd|fd_infinity|kid)_[a-z0-9_]+|target_l1", score):
            raise ValueError(
                "must name a distance (lower is better), such as fid, fd_classifier, kid_classifier or target_l1"
            )
        return score

    @field_validator("model_name")
    @classmethod
    def _name_fits_the_registry(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_. -]{1,256}", name) or name.isspace() or name == "." or name.startswith(".."):
            raise ValueError(
                "must be auto, or a name of at most 256 letters, digits, spaces, '_', '.' and '-' that does not start "
                "with '..'"
            )
        return name


class DriftConfig(Section):
    """The test for drift of new data."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    blocks: Annotated[int, Field(ge=2, le=10**4)]
    kid_threshold: Annotated[float, Field(ge=0)]
    class_share_threshold: Annotated[float, Field(ge=0, lt=1)]
