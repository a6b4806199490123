"""Generator with skip-layer excitation, and a discriminator that also reconstructs real images, as in FastGAN.

The generator doubles the resolution from 4×4 (7×7 for 28 pixels, 4×16 for 64×256). Its finest map has `width` channels.
The number doubles with every halving, up to `growth` · `width`, except from 64 to 32 pixels, where it stays. The
discriminator halves the resolution to 8×8; its finest map also has `width` channels, which double with every halving.
The published networks for 256 pixels have width 32 and growth 32 in the generator, width 16 and growth 64 in the
discriminator, and 256 latents.

Skip-layer excitation multiplies each channel of a map by a number in (0, 1), computed from a map at another resolution:
conv(pool(x)) → SiLU → 1×1 convolution → sigmoid, where the pooled map and the kernel are 4×4.

Departures from the authors' code:
- The generator adds no random noise to its maps, so its images are a function of the latents alone.
- It has one output, and the discriminator one logit: the mean of the published 5×5 logits. The code also has an output
  of 128×128 and a small discriminator for it.
- Reconstructions are compared by their L1 distance. The published distance, LPIPS, needs a pretrained network.
- There is no spectral norm: the scale of a kernel before batch norm has no effect.

Reference: Liu et al. 2021, arXiv 2101.04775, section 3; the layers and widths are those of the authors' models.py.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import tensorflow as tf

from gan_core.networks.conditioning import ProjectionDiscriminator, one_hot, projection_layers
from gan_core.networks.layers import BatchNormalization
from gan_core.networks.shapes import base, halvings, widths

_GENERATOR_SKIP, _DISCRIMINATOR_SKIP = 4, 3
"""Doublings or halvings between an excited map and the map that excites it."""
_MOST_HALVINGS = 6
"""The discriminator's first layer halves larger images, so that what follows reads 256 pixels."""


def build_generator(
    shape: tuple[int, int, int],
    *,
    latent_size: int,
    width: int,
    growth: int,
    classes: int,
    seed: int,
    synchronized: bool = False,
    dtype: str = "float32",
) -> keras.Model:
    """Builds the map from latents [B, latent_size] float32 (and labels [B] int32) to images [B, H, W, C] in [−1, 1].

    Dense → Reshape → batch norm, GLU → (doubling, convolution, batch norm, GLU) for each doubling; the first, third, …
    has a second (convolution, batch norm, GLU) → convolution → tanh. Each map from 64 pixels on is excited by the map
    of 1/16 of its resolution; the last map of smaller images, by the smallest. With `synchronized`, batch norm takes
    its statistics over all devices. With `classes`, a learned map of the image's class is added after the first batch
    norm, as in dcgan.py.
    """
    make = _Layers(seed, base(shape), synchronized, dtype)
    channels = list(reversed(_channels(halvings(shape), width, growth)))
    inputs = latents = keras.Input((latent_size,), name="latents")
    class_map = None
    if classes:
        labels = keras.Input((), dtype="int32", name="labels")
        inputs = [latents, labels]
        start = keras.initializers.RandomNormal(stddev=1.0, seed=next(make.seeds))
        class_map = make.smallest_map(one_hot(labels, classes), 2 * channels[0], start)
    x = make.normalized(make.smallest_map(latents, 2 * channels[0], make.glorot()))
    if class_map is not None:
        x = keras.layers.Add(dtype=dtype)([x, class_map])
    maps = [keras.ops.glu(x)]
    skip = min(_GENERATOR_SKIP, len(channels) - 1)
    for index, filters in enumerate(channels[1:], start=1):
        x = make.doubled(maps[-1], filters)
        if index % 2 == 1:
            x = make.gated(x, filters)
        maps.append(make.excited(x, maps[index - skip]) if index >= skip else x)
    x = make.convolution(maps[-1], shape[2], 3)
    return keras.Model(inputs, keras.layers.Activation("tanh", dtype="float32")(x), name="generator")


class Discriminator(ProjectionDiscriminator):
    """Convolution → residual blocks that halve to 8×8 → 1×1 convolution → 4×4 convolution, averaged; two decoders.

    A block is the mean of (4×4 convolution with stride 2, batch norm, leaky ReLU, 3×3 convolution, batch norm, leaky
    ReLU) and (2×2 average, 1×1 convolution, batch norm, leaky ReLU). A map of 1/8 of another's resolution is excited by
    it. Both decoders double the resolution until it is half of the image's, at most 128×128, with batch norm and GLU:
    one decodes the last map, 8×8, to the whole image, the other a quarter of the map before, 16×16, to that quarter of
    the image.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        width: int,
        growth: int,
        classes: int,
        dropout: float,
        seed: int,
        synchronized: bool = False,
        dtype: str = "float32",
    ) -> None:
        make = _Layers(seed, base(shape), synchronized, dtype)
        count = min(halvings(shape), _MOST_HALVINGS)
        channels = widths(count, width, growth)
        images = keras.Input(shape)
        size, stride = (3, 1) if count == halvings(shape) else (4, 2)
        maps = [make.leaky(make.convolution(images, channels[0], size, stride))]
        skip = min(_DISCRIMINATOR_SKIP, count - 1)
        for index, filters in enumerate(channels[1:-1], start=1):
            x = make.halved(maps[-1], filters)
            maps.append(make.excited(x, maps[index - skip]) if index >= skip else x)
        x = make.leaky(make.normalized(make.convolution(maps[-1], channels[-1], 1)))
        # A convolution's mean over all places is the convolution of the mean of all windows.
        windows = [side + 1 for side in base(shape)]
        x = keras.layers.Flatten(dtype=dtype)(keras.layers.AveragePooling2D(windows, 1, dtype=dtype)(x))
        features = keras.Model(images, x)
        last = projection_layers(features.output_shape[-1], classes, False, make.seeds)
        super().__init__(features, *last, classes=classes, dropout=dropout)
        self._maps = keras.Model(images, [x, *maps[-2:]])
        decoded = list(reversed(_channels(count, width, growth)[1 : count - 1]))
        self._decoders = [make.decoder(channels[-2], decoded, shape[2]), make.decoder(channels[-3], decoded, shape[2])]
        for decoder in self._decoders:
            self.weights += decoder.weights
            self.trainable_variables += decoder.trainable_variables

    def with_reconstructions(
        self, images: tf.Tensor, labels: tf.Tensor | None, mask: tf.Tensor | None, quarters: tf.Tensor
    ) -> tuple[tf.Tensor, list[tuple[tf.Tensor, tf.Tensor]]]:
        """Returns the logits and two pairs: what a decoder should return, and what it returns, [B, h, w, C] float32.

        The first pair is the whole image, the second one quarter of each image; `quarters` [B] int32 are 0 to 3. Both
        are reduced to the decoders' resolution by averaging.
        """
        features, middle, last = self._maps(images, training=True)
        whole, part = self._decoders
        decoded = whole(last, training=True), part(_quarter(middle, quarters), training=True)
        originals = images, _quarter(images, quarters)
        pairs = [(_reduced(a, b.shape[1]), b) for a, b in zip(originals, decoded, strict=True)]
        return self._logits(features, labels, mask), pairs


class _Layers:
    """Makes the layers of one network whose smallest map is `smallest`. Each kernel has its own seed."""

    def __init__(self, seed: int, smallest: tuple[int, int], synchronized: bool, dtype: str) -> None:
        self.seeds = itertools.count(1000 * seed)
        self._smallest, self._synchronized, self._dtype = smallest, synchronized, dtype

    def glorot(self) -> Any:
        """Glorot and Bengio's uniform initialiser."""
        return keras.initializers.GlorotUniform(next(self.seeds))

    def smallest_map(self, x: Any, filters: int, kernel: Any) -> Any:
        """A linear map of vectors [B, N] to [B, h, w, filters]."""
        count = math.prod(self._smallest) * filters
        x = keras.layers.Dense(count, use_bias=False, kernel_initializer=kernel, dtype=self._dtype)(x)
        return keras.layers.Reshape((*self._smallest, filters), dtype=self._dtype)(x)

    def convolution(self, x: Any, filters: int, size: Any, stride: int = 1, padding: str = "same") -> Any:
        """A convolution without bias."""
        options = {"padding": padding, "use_bias": False, "kernel_initializer": self.glorot(), "dtype": self._dtype}
        return keras.layers.Conv2D(filters, size, stride, **options)(x)

    def normalized(self, x: Any) -> Any:
        """Batch norm."""
        return BatchNormalization(synchronized=self._synchronized, dtype=self._dtype)(x)

    def leaky(self, x: Any) -> Any:
        """Leaky ReLU."""
        return keras.layers.LeakyReLU(0.2, dtype=self._dtype)(x)

    def gated(self, x: Any, filters: int) -> Any:
        """Convolution, batch norm, and GLU: a · σ(b) for the two halves a, b of the channels."""
        return keras.ops.glu(self.normalized(self.convolution(x, 2 * filters, 3)))

    def doubled(self, x: Any, filters: int) -> Any:
        """Repeats each pixel 2×2 times before `gated`."""
        return self.gated(keras.layers.UpSampling2D(dtype=self._dtype)(x), filters)

    def halved(self, x: Any, filters: int) -> Any:
        """A residual block of the discriminator."""
        main = self.leaky(self.normalized(self.convolution(x, filters, 4, 2)))
        main = self.leaky(self.normalized(self.convolution(main, filters, 3)))
        direct = self.convolution(keras.layers.AveragePooling2D(2, dtype=self._dtype)(x), filters, 1)
        return keras.layers.Average(dtype=self._dtype)([main, self.leaky(self.normalized(direct))])

    def excited(self, x: Any, source: Any) -> Any:
        """Skip-layer excitation of `x` by `source`, a map of any resolution from the smallest on."""
        pool = [side // small for side, small in zip(source.shape[1:3], self._smallest, strict=True)]
        gate = source if pool == [1, 1] else keras.layers.AveragePooling2D(pool, dtype=self._dtype)(source)
        gate = self.convolution(gate, x.shape[-1], self._smallest, padding="valid")
        gate = self.convolution(keras.layers.Activation("silu", dtype=self._dtype)(gate), x.shape[-1], 1)
        gate = keras.layers.Activation("sigmoid", dtype=self._dtype)(gate)
        return keras.layers.Multiply(dtype=self._dtype)([x, gate])

    def decoder(self, inputs: int, channels: list[int], outputs: int) -> keras.Model:
        """The map from [B, 2 h, 2 w, inputs] to images, doubled for each number of `channels`."""
        x = maps = keras.Input((*(2 * side for side in self._smallest), inputs))
        for filters in channels:
            x = self.doubled(x, filters)
        x = keras.layers.Activation("tanh", dtype="float32")(self.convolution(x, outputs, 3))
        return keras.Model(maps, x)


def _channels(halvings: int, width: int, growth: int) -> list[int]:
    """Channels of the generator's and the decoders' maps, from the finest to that after all `halvings`."""
    if halvings < 4:
        return widths(halvings, width, growth)
    doubled = widths(halvings - 1, width, growth)
    return [*doubled[: halvings - 3], *doubled[halvings - 4 :]]


def _quarter(maps: tf.Tensor, quarters: tf.Tensor) -> tf.Tensor:
    """One quarter of each map: [B, 2 h, 2 w, C] → [B, h, w, C]. The `quarters` [B] are 0 (upper left) to 3."""
    height, width = maps.shape[1] // 2, maps.shape[2] // 2
    quarters = quarters[:, tf.newaxis, tf.newaxis, tf.newaxis]
    rows = tf.where(quarters < 2, maps[:, :height], maps[:, height:])
    return tf.where(quarters % 2 == 0, rows[:, :, :width], rows[:, :, width:])


def _reduced(images: tf.Tensor, height: int) -> tf.Tensor:
    factor = images.shape[1] // height
    return images if factor == 1 else tf.nn.avg_pool2d(images, factor, factor, "VALID")
