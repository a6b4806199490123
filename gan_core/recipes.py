"""The recipes: the values that parameters of the section `train` get if they are `auto`.

The first recipe that fits the data counts. A parameter that is set by hand stays. The device does not decide, so a
training on a laptop and one on a GPU can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gan_core.codecs import codec_of
from gan_core.config import TrainConfig
from gan_core.data.manifest import Manifest
from gan_core.errors import InvalidInput


@dataclass(frozen=True)
class Recipe:
    """Values for one kind of data.

    Attributes:
        name: its name in MLflow.
        data: the data that it is for, in words.
        fits: whether it is for data with this manifest.
        values: the values by parameter; a recipe has one for each parameter that may be `auto`.
        measured: where the measurement of the values is.
    """

    name: str
    data: str
    fits: Callable[[Manifest], bool]
    values: Mapping[str, Any]
    measured: str


_IMAGES: dict[str, Any] = {
    "network": "dcgan",
    "normalization": "batch",
    "generator_width": 32,
    "discriminator_width": 32,
    "growth": 8,
    "depth": 1,
    "balanced_classes": False,
    "loss": "non_saturating",
    "reconstruction": "none",
    "reconstruction_weight": 0.0,
    "gradient_penalty_weight": 0.0,
    "augment": [],
    "augment_probability": 0.0,
    "final_augment_probability": 0.0,
    "steps": 4500,
    "steps_per_execution": 4,
    "discriminator_steps": 1,
    "learning_rate": 0.001,
    "beta_2": 0.999,
    "ema_half_life_images": 9000.0,
}
_SOUND = _IMAGES | {
    "generator_width": 16,
    "discriminator_width": 16,
    # The one augmentation after which sound could still be real.
    "augment": ["time_translation"],
    "augment_probability": 0.5,
    "final_augment_probability": 0.5,
    "steps": 1600,
    "learning_rate": 0.0005,
}
IMAGES = Recipe("images", "images", lambda _: True, _IMAGES, "docs/ablation.md")
RECIPES = (
    Recipe(
        "text",
        "texts",
        lambda manifest: codec_of(manifest).modality == "text",
        # The character GAN of Gulrajani et al. 2017, arXiv 1704.00028, narrower and with fewer discriminator steps.
        _IMAGES
        | {
            "network": "text",
            "normalization": "none",
            "generator_width": 64,
            "discriminator_width": 64,
            "growth": 1,
            "depth": 3,
            "loss": "wasserstein",
            "gradient_penalty_weight": 10.0,
            "steps": 2000,
            "steps_per_execution": 1,
            "discriminator_steps": 5,
            "learning_rate": 0.002,
            "beta_2": 0.9,
            "ema_half_life_images": 20000.0,
        },
        "docs/text.md",
    ),
    Recipe(
        "sound with classes",
        "sounds with classes",
        lambda manifest: codec_of(manifest).modality == "audio" and len(manifest.classes) > 0,
        _SOUND | {"balanced_classes": True},
        "docs/sound.md",
    ),
    Recipe("sound", "sounds", lambda manifest: codec_of(manifest).modality == "audio", _SOUND, "docs/sound.md"),
    Recipe(
        "pairs",
        "pairs of images",
        lambda manifest: any(shard.inputs for shard in manifest.shards),
        # λ of Isola et al. 2017, arXiv 1611.07004
        _IMAGES | {"network": "unet", "reconstruction": "l1", "reconstruction_weight": 100.0},
        "benchmarks/README.md",
    ),
    IMAGES,
)


def recipe_for(manifest: Manifest) -> Recipe:
    """Returns the first recipe that fits the data.

    >>> recipe_for(dataset.manifest).name
    'images'
    """
    return next(recipe for recipe in RECIPES if recipe.fits(manifest))


def with_recipe(config: TrainConfig, recipe: Recipe = IMAGES) -> TrainConfig:
    """Replaces each parameter that is `auto` by the recipe's value.

    Raises:
        InvalidInput: a parameter that was set does not go with the others.

    >>> with_recipe(config, recipe_for(dataset.manifest)).network
    'dcgan'
    """
    if not (chosen := config.automatic):
        return config
    values = dict(config) | {name: recipe.values[name] for name in chosen}
    try:
        return TrainConfig.parse(values)
    except InvalidInput as error:
        named = ", ".join(name for name in chosen if f"{name}=" in str(error))
        raise InvalidInput(f"{error}{named and f'; the recipe for {recipe.data} chose {named}'}") from None


def require_a_recipe(config: TrainConfig) -> None:
    """Checks, before the data are known, that the parameters that were set go with at least one recipe.

    Raises:
        InvalidInput: they go with none; the message is that for images.
    """
    refusals = []
    for recipe in RECIPES:
        try:
            with_recipe(config, recipe)
        except InvalidInput as error:
            refusals.append(error)
    if len(refusals) == len(RECIPES):
        raise refusals[-1]
