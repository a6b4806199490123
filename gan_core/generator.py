"""A trained generator and its metadata. It turns latents, and labels or input images, into uint8 images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gan_core.codecs import StoredCodec, codec_of
from gan_core.errors import InvalidInput
from gan_core.record import Record
from gan_core.representation import network_shape, to_arrays, to_network
from gan_core.sampling import draw_labels, latent_batches

Conditions = Callable[[NDArray[np.int64]], NDArray[Any]]
"""A function that returns the labels or input images at positions [B] of a sequence."""


class GeneratorMetadata(Record):
    """Description and origin of a generator.

    Attributes:
        latent_size: length of a latent vector.
        shape: height, width, channels of a generated array, as the data stores it.
        codec: the codec of the data; None for images. `codec_of` returns it for all.
        classes: class names in label order; empty for an unconditional generator.
        class_shares: probability of each class when labels are drawn: its share of the training images, or equal shares
            if the classes were balanced.
        paired: whether it makes an image from an input image.
        images_seen: number of real images shown to the discriminator.
        collapsed: whether the samples' diversity was below train.collapse_diversity at `images_seen`.
        dataset_digest, dataset_source: the prepared data it was trained on.
        parameters: the train section it was trained with.
        tracking_run_id: the MLflow run of its training; None if there was none.
        versions: versions of the packages that trained it.
    """

    format: Literal[1]
    latent_size: int
    shape: tuple[int, int, int]
    codec: StoredCodec = None
    classes: tuple[str, ...]
    class_shares: tuple[float, ...] = ()
    paired: bool = False
    images_seen: int = Field(ge=0)
    collapsed: bool
    dataset_digest: str
    dataset_source: str
    parameters: dict[str, bool | str | int | float | list[str]]
    tracking_run_id: str | None
    versions: dict[str, str]

    @model_validator(mode="after")
    def _conditions_fit(self) -> Self:
        shares = self.class_shares
        if len(shares) != len(self.classes) or (shares and not (min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6)):
            raise ValueError("class_shares must hold one share for each class, and their sum must be 1")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must differ")
        if self.codec is not None and self.codec.shape != self.shape:
            raise ValueError("the codec must have the shape of the arrays")
        if self.paired and self.classes:
            raise ValueError("a paired generator has no classes")
        return self


class Generator:
    """A generator ready to sample.

    Attributes:
        model: Keras model, latents [B, latent_size] float32 → images [B, H, W, C] float32 in [−1, 1], or distributions
            over symbols; see `gan_core.representation`. A conditional model also takes labels [B] int32, a paired one
            input images [B, H, W, C] float32 in [−1, 1].
        metadata: its description and origin.
        digest: digest of its files, from `generator_digest`; None if it was not loaded from files.

    >>> generator = load_generator(Path("generator"))
    >>> generator.sample(4, seed=0).shape
    (4, 16, 16, 1)
    >>> latents = draw_latents(2, generator.metadata.latent_size, seed=0)
    >>> generator.draw(latents, np.array([7, 7])).shape  # two images of the class 7
    (2, 16, 16, 1)
    """

    def __init__(self, model: Any, metadata: GeneratorMetadata, digest: str | None = None) -> None:
        import tensorflow as tf

        self.model = model
        self.metadata = metadata
        self.digest = digest
        self._symbols = codec_of(metadata).symbols
        self._network = tf.function(model, autograph=False, reduce_retracing=True)

    def sample(
        self,
        count: int,
        seed: int,
        truncation: float = 1.0,
        conditions: Conditions | None = None,
        batch_size: int = 256,
    ) -> NDArray[np.uint8]:
        """Draws `count` images, uint8 [count, H, W, C]. The first n images are the same for every count ≥ n."""
        return np.concatenate(list(self.batches(count, seed, truncation, conditions, batch_size)))

    def batches(
        self,
        count: int,
        seed: int,
        truncation: float = 1.0,
        conditions: Conditions | None = None,
        batch_size: int = 256,
        *,
        start: int = 0,
    ) -> Iterator[NDArray[np.uint8]]:
        """Yields the images of `sample` in batches of at most `batch_size`; one batch is in memory at a time.

        Args:
            count: number of images to draw.
            seed: seed of the latents and the labels.
            truncation: see `draw_latents`.
            conditions: returns, for positions [B] in the sequence, the labels int32 [B] of a conditional generator or
                the input images uint8 [B, H, W, C] of a paired one. If None, labels are drawn from the class shares. A
                paired generator needs it.
            batch_size: images at a time.
            start: number of images to skip, a multiple of `batch_size`. Only their latents are drawn.

        Raises:
            InvalidInput: an image is not finite.
        """
        if conditions is None and self.metadata.classes:
            conditions = draw_labels(count, self.metadata.class_shares, seed).__getitem__
        done = 0
        for latents in latent_batches(count, self.metadata.latent_size, seed, truncation, batch_size):
            positions = np.arange(done, done + len(latents))
            if done >= start:
                yield self.draw(latents, None if conditions is None else conditions(positions))
            done += len(latents)

    def draw(self, latents: NDArray[np.float32], condition: NDArray[Any] | None = None) -> NDArray[np.uint8]:
        """Generates images uint8 [B, H, W, C] from `latents` [B, latent_size], and labels or inputs in `condition`.

        Raises:
            InvalidInput: an image is not finite, or a paired generator has no input images.
        """
        if self.metadata.paired:
            if condition is None:
                raise InvalidInput(
                    "A paired generator needs input images. Received: none for a generator of "
                    f"{self.metadata.dataset_source}"
                )
            condition = to_network(condition, self._symbols)
        arguments = latents if condition is None else [latents, condition]
        images = self._run(arguments)
        if images.shape != (expected := (len(latents), *network_shape(self.metadata.shape, self._symbols))):
            raise InvalidInput(
                f"A generator must give one array for each latent vector: {expected}. Received: {images.shape}"
            )
        if not np.isfinite(images).all():
            raise InvalidInput(
                f"A generator's arrays must be finite. Received: NaN or infinity from a generator of "
                f"{self.metadata.dataset_source} after {self.metadata.images_seen} examples"
            )
        return to_arrays(images, self._symbols)

    def _run(self, arguments: Any) -> NDArray[np.float32]:
        """Runs the network.

        A model from outside can load but fail when it runs, for example because its layers do not fit together. Such a
        failure becomes InvalidInput.
        """
        import tensorflow as tf

        try:
            images: NDArray[np.float32] = self._network(arguments, training=False).numpy()
        except (
            tf.errors.InvalidArgumentError,
            tf.errors.UnimplementedError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:
            reason = " ".join(str(error).split())[:200]
            raise InvalidInput(
                f"A generator's network must run: {reason}. Received: a generator of {self.metadata.dataset_source}"
            ) from None
        return images
