"""Builds a training's networks on the devices of this machine, after checking that the parameters fit the data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from components.cli.parameters import read_section
from components.tracking.model_name import champion_address, name_for_data, name_in_address
from gan_core.errors import InvalidInput

if TYPE_CHECKING:
    from gan_core.config import Switch, TrainConfig
    from gan_core.data.prepared import ImageSplit, PreparedDataset
    from gan_core.training.distribution import Distribution
    from gan_core.training.state import Gan

_logger = logging.getLogger(__name__)


def training_images(config: TrainConfig, dataset: PreparedDataset) -> ImageSplit:
    """Returns the training images after checking that the parameters fit them. Does not import TensorFlow.

    Raises:
        InvalidInput: they do not.
    """
    from gan_core.codecs import codec_of
    from gan_core.data.manifest import first_names
    from gan_core.evaluation.requirements import require_images_to_score_while_training
    from gan_core.networks.shapes import check_shape
    from gan_core.networks.size import require_trainable

    codec = codec_of(dataset.manifest)
    check_shape(config.network, codec.shape, codec.symbols)
    require_trainable(config, dataset.manifest.shape)
    images, place = dataset.split("train"), dataset.folder
    if images.count == 0:
        raise InvalidInput(f"The train split must hold an example. Received: {place}")
    for name, value in (("conditional", "on"), ("balanced_classes", True)):
        if getattr(config, name) == value and not images.labelled:
            raise InvalidInput(
                f"The parameter 'train.{name}' needs examples with labels. Received: {name}={value!r}, {place}"
            )
    absent = dataset.manifest.classes_without("train")
    if absent and config.resolved(labelled=images.labelled).conditional == "on":
        raise InvalidInput(
            "A conditional training needs a training example of every class: add examples, lower "
            "prepare.held_out_fraction, change prepare.seed, or set train.conditional to off. "
            f"Received: conditional='on', {len(absent)} of {len(dataset.manifest.classes)} classes without: "
            f"{first_names(absent)}, in {place}"
        )
    if images.paired != config.paired:
        raise InvalidInput(
            "The parameter 'train.network' must be unet for pairs, which only images can have (prepare.image.pairs), "
            "and dcgan, resnet, r3gan or fastgan otherwise. "
            f"Received: network={config.network!r}, {'pairs' if images.paired else 'single items'} in {place}"
        )
    if unfit := [name for name in config.augment if name not in codec.augmentations]:
        raise InvalidInput(
            f"The parameter 'train.augment' must be made of {', '.join(sorted(codec.augmentations)) or 'nothing'} for "
            f"data of the modality {codec.modality}. Received: augment={unfit}, {place}"
        )
    if config.score_every_images:
        require_images_to_score_while_training(dataset, config.score_samples)
    return images


def fitted(config: TrainConfig, dataset: PreparedDataset) -> tuple[TrainConfig, ImageSplit, str]:
    """Replaces what is `auto` in the parameters of the networks and the objective, and checks that they fit the data.

    Returns:
        The parameters, the training images, and the name of the recipe; empty if no parameter was `auto`.

    Raises:
        InvalidInput: they do not fit.
    """
    from gan_core.recipes import recipe_for, with_recipe

    recipe = recipe_for(dataset.manifest)
    chosen = config.automatic
    config = with_recipe(config, recipe)
    images = training_images(config, dataset)
    if chosen:
        values = ", ".join(f"{name}={getattr(config, name)}" for name in chosen)
        _logger.info("Recipe for %s (%s): %s", recipe.data, recipe.measured, values)
    return config.resolved(labelled=images.labelled), images, recipe.name if chosen else ""


def version_to_start_from(warm_start: str, champion: str | Path | None, dataset: PreparedDataset) -> str:
    """Returns the value of `train.warm_start`, with `champion` replaced by the champion's address."""
    if warm_start != "champion":
        return warm_start
    if champion is None:
        raise InvalidInput(
            "A warm start from the champion needs --champion, which names its model. "
            f"Received: warm_start={warm_start!r} without --champion"
        )
    if name_in_address(str(champion)):
        return str(champion)
    from gan_core.config import RegisterConfig

    configured = read_section(str(champion), RegisterConfig).model_name
    return champion_address(name_for_data(configured, dataset))


def build_gan(config: TrainConfig, dataset: PreparedDataset) -> tuple[Gan, bool, bool]:
    """Builds the networks on the available devices. Returns them, and whether XLA and mixed precision are used."""
    from gan_core.codecs import codec_of
    from gan_core.training.distribution import Distribution
    from gan_core.training.state import Gan

    distribution = Distribution(config.distribution)
    xla, mixed_precision = _xla(config, distribution), _switch("mixed_precision", config.mixed_precision)
    classes = len(dataset.manifest.classes) if config.conditional == "on" else 0
    codec = codec_of(dataset.manifest)
    gan = Gan(
        config,
        codec.shape,
        classes,
        symbols=codec.symbols,
        distribution=distribution,
        mixed_precision=mixed_precision,
    )
    return gan, xla, mixed_precision


def _xla(config: TrainConfig, distribution: Distribution) -> bool:
    """Whether XLA compiles the step. It cannot compile the communication between several replicas."""
    if distribution.replicas > 1:
        if config.xla == "on":
            raise InvalidInput(
                "The parameter 'train.xla' must be auto or off on several devices. "
                f"Received: xla='on', {distribution.replicas} devices"
            )
        return False
    return _switch("xla", config.xla)


def _switch(name: str, value: Switch) -> bool:
    """Whether XLA or mixed precision is used: `auto` means on a GPU only."""
    import tensorflow as tf

    gpu = bool(tf.config.list_physical_devices("GPU"))
    if value == "on" and not gpu:
        _logger.warning("%s=on makes the training several times slower on a CPU.", name)
    return value == "on" or (value == "auto" and gpu)
