"""Builds the networks that a configuration names. Only this file knows which parameters each architecture takes."""

from __future__ import annotations

from typing import Any

import keras

from gan_core.config import TrainConfig
from gan_core.networks import dcgan, fastgan, r3gan, resnet, text, unet
from gan_core.networks.conditioning import ProjectionDiscriminator


def build_generator(
    config: TrainConfig, shape: tuple[int, int, int], classes: int, *, synchronized: bool, dtype: str
) -> keras.Model:
    """Builds the Keras model of the generator; its architecture's `build_generator` describes inputs and outputs.

    Args:
        config: parameters of the training.
        shape: height, width, channels of what networks read; see `gan_core.representation`.
        classes: number of classes of a conditional GAN, else 0.
        synchronized: whether batch norm takes its statistics over all devices.
        dtype: Keras's dtype policy, from `dtype_policy`.
    """
    options: dict[str, Any] = {
        "latent_size": config.latent_size,
        "width": config.generator_width,
        "growth": config.growth,
        "seed": 2 * config.seed,
        "dtype": dtype,
    }
    layout: dict[str, Any] = {"depth": config.depth, "classes": classes}
    match config.network:
        case "dcgan":
            return dcgan.build_generator(shape, synchronized=synchronized, **layout, **options)
        case "resnet":
            return resnet.build_generator(shape, synchronized=synchronized, **layout, **options)
        case "r3gan":
            return r3gan.build_generator(shape, **layout, **options)
        case "fastgan":
            return fastgan.build_generator(shape, classes=classes, synchronized=synchronized, **options)
        case "unet":
            return unet.build_generator(shape, synchronized=synchronized, **options)
        case "text":
            del options["growth"]
            return text.build_generator(shape, **layout, **options)


def build_discriminator(
    config: TrainConfig, shape: tuple[int, int, int], classes: int, *, synchronized: bool, dtype: str
) -> ProjectionDiscriminator:
    """Builds the discriminator; the arguments are those of `build_generator`.

    A paired GAN's discriminator gets each image concatenated with its input image, so it reads twice the channels.
    """
    height, width, channels = shape
    options: dict[str, Any] = {
        "width": config.discriminator_width,
        "growth": config.growth,
        "depth": config.depth,
        "classes": classes,
        "dropout": config.dropout,
        "seed": 2 * config.seed + 1,
        "dtype": dtype,
    }
    normalization: Any = config.normalization
    match config.network:
        case "dcgan":
            return dcgan.Discriminator(shape, normalization=normalization, synchronized=synchronized, **options)
        case "resnet":
            return resnet.Discriminator(shape, normalization=normalization, **options)
        case "r3gan":
            return r3gan.Discriminator(shape, **options)
        case "fastgan":
            del options["depth"]
            return fastgan.Discriminator(shape, synchronized=synchronized, **options)
        case "unet":
            both = (height, width, 2 * channels)
            return dcgan.Discriminator(both, normalization=normalization, synchronized=synchronized, **options)
        case "text":
            del options["growth"]
            return text.Discriminator(shape, **options)


def dtype_policy(config: TrainConfig, *, mixed_precision: bool) -> str:
    """Returns Keras's dtype policy: float32, or with `mixed_precision` float16 or bfloat16 for the activations."""
    if not mixed_precision:
        return "float32"
    # Activations without normalisation overflow float16: Huang et al. 2025, arXiv 2501.05441, appendix E.
    return "mixed_bfloat16" if config.network == "r3gan" else "mixed_float16"
