"""The two GANs of train_step.py in numbers, from which PyTorch builds them, and the operations in a step of each."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from gan_core.config import TrainConfig
from gan_core.networks.shapes import base, widths

Convolutions = tuple[tuple[int, int, int], ...]
"""Channels, kernel and stride of each."""


class DescribedNetwork(BaseModel):
    """A DCGAN for square grey images, and its training.

    Attributes:
        base: side of the feature maps that the generator's dense layer makes; first: their channels.
        generator, discriminator: the convolutions of each network, in order.
        flat_norm: the generator's first batch norm is over each output of the dense layer and not over channels.
        norm_scales: the batch norms have a learned scale.
        discriminator_norm: all discriminator convolutions but the first have batch norm in place of their biases.
        last_bias: the generator's last convolution has a bias.
        generator_slope, discriminator_slope: slope of the activation for negative inputs; 0 is ReLU.
        convolution_dropout, feature_dropout: dropout rates after each discriminator convolution and before its last
            layer.
        average_decay: decay of the averaged generator per step; 0 for no averaging.
        classes: number of classes; each has a map of its own after the generator's first norm, and a projection. 0 for
            none.
    """

    model_config = ConfigDict(frozen=True)

    batch_size: int
    latent_size: int
    base: int
    first: int
    generator: Convolutions
    discriminator: Convolutions
    flat_norm: bool
    norm_scales: bool
    discriminator_norm: bool
    last_bias: bool
    generator_slope: float
    discriminator_slope: float
    convolution_dropout: float
    feature_dropout: float
    learning_rate: float
    beta_1: float
    beta_2: float
    average_decay: float
    classes: int

    @property
    def resolution(self) -> int:
        """Height and width of an image in pixels."""
        return self.base * math.prod(stride for _, _, stride in self.generator)

    def operations_per_image(self) -> int:
        """Nominal operations of a step per image of the batch; a multiplication and an addition count as two.

        Only convolutions and dense layers count, including the multiplications beyond an image's edge. Layers for
        labels do not count, because they are look-ups. The gradient by the weights and the gradient by the inputs each
        cost as much as one forward pass, which is G for the generator and D for the discriminator (G₁ and D₁ for the
        first layers):

        - generator: forward, gradient by weights, and gradient by inputs without its first layer: 3 G − G₁;
        - discriminator's step, on real and on generated images: forward 2 D, by weights 2 D, by inputs 2 (D − D₁);
        - generator's step through the updated discriminator: forward D, by inputs D.

        Together 3 G − G₁ + 8 D − 2 D₁.
        """
        generator, discriminator = self._generator_products(), self._discriminator_products()
        products = 3 * sum(generator) - generator[0] + 8 * sum(discriminator) - 2 * discriminator[0]
        return 2 * products

    def _generator_products(self) -> list[int]:
        side, channels = self.base, self.first
        found = [self.latent_size * side * side * channels]
        for filters, kernel, stride in self.generator:
            # A transposed convolution spreads each input pixel over kernel² pixels.
            found.append(side * side * kernel * kernel * channels * filters)
            side, channels = side * stride, filters
        return found

    def _discriminator_products(self) -> list[int]:
        side, channels, found = self.resolution, 1, []
        for filters, kernel, stride in self.discriminator:
            side //= stride
            found.append(side * side * kernel * kernel * channels * filters)
            channels = filters
        return [*found, side * side * channels]


TUTORIAL = DescribedNetwork(
    batch_size=64,
    latent_size=100,
    base=7,
    first=256,
    generator=((128, 5, 1), (64, 5, 2), (1, 5, 2)),
    discriminator=((64, 5, 2), (128, 5, 2)),
    flat_norm=True,
    norm_scales=True,
    discriminator_norm=False,
    last_bias=False,
    generator_slope=0.3,
    discriminator_slope=0.3,
    convolution_dropout=0.3,
    feature_dropout=0.0,
    learning_rate=0.0002,
    beta_1=0.9,
    beta_2=0.999,
    average_decay=0.0,
    classes=0,
)
"""The network of tutorial_dcgan.py at batch 64."""


def describe(config: TrainConfig, shape: tuple[int, int, int], classes: int) -> DescribedNetwork | None:
    """Returns the network of a recipe with `classes` classes; None if a `DescribedNetwork` cannot describe it."""
    decided = (config.network, config.depth, config.normalization, config.loss, shape[2])
    plain = decided == ("dcgan", 1, "batch", "non_saturating", 1)
    extras = config.augment or config.penalised or config.reconstruction != "none"
    if not plain or extras or config.discriminator_steps > 1 or config.accumulation_steps > 1:
        return None
    channels = widths(shape[0] // 2, config.generator_width, config.growth)
    half_life = config.ema_half_life_images
    return DescribedNetwork(
        batch_size=config.batch_size,
        latent_size=config.latent_size,
        base=base(shape[0]),
        first=channels[-1],
        generator=tuple((filters, 4, 2) for filters in [*reversed(channels[:-1]), 1]),
        discriminator=tuple(
            (filters, 4, 2) for filters in widths(shape[0] // 2, config.discriminator_width, config.growth)
        ),
        flat_norm=False,
        norm_scales=False,
        discriminator_norm=True,
        last_bias=True,
        generator_slope=0.0,
        discriminator_slope=0.2,
        convolution_dropout=0.0,
        feature_dropout=config.dropout,
        learning_rate=config.learning_rate,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        average_decay=0.5 ** (config.batch_size / half_life) if half_life else 0.0,
        classes=classes,
    )
