"""A trained generator as a folder: `generator.keras` (the averaged weights) and `generator.json` (the metadata).

`keras.models.load_model` in safe mode reads it, so no code and no pickle from the folder is executed.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gan_core.errors import InvalidInput
from gan_core.keras_file import require_modest
from gan_core.untrusted_files import read_bytes, require_regular

Conditions = Callable[[NDArray[np.int64]], NDArray[Any]]
"""Returns labels or input images by position."""

MODEL_FILE = "generator.keras"
METADATA_FILE = "generator.json"
_MOST_METADATA_BYTES = 2**26
METADATA_KEYS = frozenset({"latent_size", "images_seen"})
"""Keys that distinguish the metadata from another document with the same file name."""


class GeneratorMetadata(BaseModel):
    """Description and origin of a generator.

    Attributes:
        latent_size: length of a latent vector.
        shape: height, width, channels of an image.
        classes: class names in label order; empty for an unconditional generator.
        class_shares: share of each class in the training images, with which labels are drawn; equal shares if the
            classes were balanced.
        paired: whether it makes an image from an input image.
        images_seen: number of real images shown to the discriminator.
        collapsed: whether the samples' diversity was below train.collapse_diversity at `images_seen`.
        dataset_digest, dataset_source: the prepared data it was trained on.
        parameters: the train section it was trained with.
        tracking_run_id: the MLflow run of its training; None if there was none.
        versions: versions of the packages that trained it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    latent_size: int
    shape: tuple[int, int, int]
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
            raise ValueError("class_shares must hold a share for each of classes, of 1 together")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("each of classes must have a name of its own")
        if self.paired and self.classes:
            raise ValueError("a paired generator has no classes")
        return self


class Generator:
    """A generator ready to sample.

    Attributes:
        model: Keras model, latents [B, latent_size] float32 → images [B, H, W, C] float32 in [−1, 1]. A conditional
            model also takes labels [B] int32, a paired one input images [B, H, W, C] float32 in [−1, 1].
        metadata: its description.
        digest: digest of its files, from `generator_digest`; None if it has no files.

    >>> generator = load_generator(Path("generator"))
    >>> generator.sample(4, seed=0).shape
    (4, 16, 16, 1)
    """

    def __init__(self, model: Any, metadata: GeneratorMetadata, digest: str | None = None) -> None:
        import tensorflow as tf

        self.model = model
        self.metadata = metadata
        self.digest = digest
        self._network = tf.function(model, autograph=False, reduce_retracing=True)

    def sample(
        self,
        count: int,
        seed: int,
        truncation: float = 1.0,
        conditions: Conditions | None = None,
        batch_size: int = 256,
    ) -> NDArray[np.uint8]:
        """Draws `count` images, uint8 [count, H, W, C]; the first n of them are the same for every count ≥ n."""
        return np.concatenate(list(self.batches(count, seed, truncation, conditions, batch_size)))

    def batches(
        self,
        count: int,
        seed: int,
        truncation: float = 1.0,
        conditions: Conditions | None = None,
        batch_size: int = 256,
    ) -> Iterator[NDArray[np.uint8]]:
        """Yields the images of `sample` in batches of at most `batch_size`; one batch is in memory at a time.

        Args:
            count: number of images to draw.
            seed: seed of the latents and the labels.
            truncation: see `draw_latents`.
            conditions: returns, for positions [B] in the sequence, the labels int32 [B] of a conditional generator or
                the input images uint8 [B, H, W, C] of a paired one. Without it, labels are drawn from the class shares;
                a paired generator needs it.
            batch_size: images at a time.

        Raises:
            InvalidInput: an image is not finite.
        """
        if conditions is None and self.metadata.classes:
            conditions = draw_labels(count, self.metadata.class_shares, seed).__getitem__
        done = 0
        for latents in _latent_batches(count, self.metadata.latent_size, seed, truncation, batch_size):
            positions = np.arange(done, done + len(latents))
            yield self.draw(latents, None if conditions is None else conditions(positions))
            done += len(latents)

    def draw(self, latents: NDArray[np.float32], condition: NDArray[Any] | None = None) -> NDArray[np.uint8]:
        """The images of `latents` [B, latent_size], uint8 [B, H, W, C]; `condition` is their labels or input images.

        Raises:
            InvalidInput: an image is not finite, or a paired generator has no input images.
        """
        if self.metadata.paired:
            if condition is None:
                raise InvalidInput(
                    "A generator that makes images of images needs input images. Received: none for a generator of "
                    f"{self.metadata.dataset_source}"
                )
            condition = condition / np.float32(127.5) - np.float32(1)
        arguments = latents if condition is None else [latents, condition]
        images = self._run(arguments)
        if images.shape != (expected := (len(latents), *self.metadata.shape)):
            raise InvalidInput(
                f"A generator must give one image for each latent vector: {expected}. Received: {images.shape}"
            )
        if not np.isfinite(images).all():
            raise InvalidInput(
                f"A generator's images must be finite. Received: NaN or infinity from a generator of "
                f"{self.metadata.dataset_source} after {self.metadata.images_seen} images"
            )
        return to_uint8(images)

    def _run(self, arguments: Any) -> NDArray[np.float32]:
        """Runs the network.

        A foreign model can be loaded and still fail when it runs, for example because its layers do not fit together.
        Such failures become InvalidInput.
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


def draw_latents(count: int, latent_size: int, seed: int, truncation: float = 1.0) -> NDArray[np.float32]:
    """Latents z ~ ψ·N(0, I), float32 [count, latent_size], from a counter-based generator keyed by `seed`.

    `truncation` ψ scales the latents towards their mean, which is 0. With 1 the distribution is that of training; a
    smaller ψ trades variety for typicality (Karras et al. 2019, arXiv 1812.04948, section B).
    """
    return np.concatenate(list(_latent_batches(count, latent_size, seed, truncation, count)))


def _latent_batches(
    count: int, latent_size: int, seed: int, truncation: float, batch_size: int
) -> Iterator[NDArray[np.float32]]:
    """The rows of `draw_latents`, at most `batch_size` at a time."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    for start in range(0, count, batch_size):
        rows = min(batch_size, count - start)
        yield truncation * generator.standard_normal((rows, latent_size), dtype=np.float32)


def draw_labels(count: int, shares: Sequence[float], seed: int) -> NDArray[np.int32]:
    """Labels drawn with the probabilities `shares`, int32 [count], from a counter-based generator keyed by `seed`."""
    draws = np.random.Generator(np.random.Philox(key=(seed, 1))).random(count)
    bounds = np.cumsum(shares)[:-1]
    return np.searchsorted(bounds, draws, side="right").astype(np.int32)


def to_uint8(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Images in [−1, 1] to grey levels: round(127.5·(x + 1)), halves up, the inverse of u / 127.5 − 1."""
    levels: NDArray[np.uint8] = np.clip(np.floor(images * 127.5 + 128.0), 0, 255).astype(np.uint8)
    return levels


def save_generator(folder: Path, model: Any, metadata: GeneratorMetadata) -> None:
    """Writes the generator into the new folder `folder`; equal weights and metadata give equal bytes.

    >>> generator = load_generator(Path("generator"))
    >>> save_generator(Path("copy"), generator.model, generator.metadata)
    >>> np.array_equal(load_generator(Path("copy")).sample(4, seed=0), generator.sample(4, seed=0))
    True
    """
    folder.mkdir()
    with tempfile.TemporaryDirectory(dir=folder) as workplace:
        dated = Path(workplace) / MODEL_FILE
        model.save(dated)
        _copy_undated(dated, folder / MODEL_FILE)
    (folder / METADATA_FILE).write_text(metadata.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _copy_undated(source: Path, target: Path) -> None:
    """Copies a .keras file without its save time, which would make DVC and the registry see another file."""
    with zipfile.ZipFile(source) as dated, zipfile.ZipFile(target, "w") as undated:
        for name in dated.namelist():
            content = dated.read(name)
            if name == "metadata.json":
                content = json.dumps({"keras_version": json.loads(content)["keras_version"]}).encode()
            undated.writestr(zipfile.ZipInfo(name), content)


def read_metadata(folder: Path) -> GeneratorMetadata:
    """Reads the metadata of the generator in `folder`, without loading the generator.

    Raises:
        InvalidInput: `folder` holds no generator.
    """
    try:
        return GeneratorMetadata.model_validate_json(read_bytes(folder / METADATA_FILE, _MOST_METADATA_BYTES))
    except OSError as error:
        raise _not_a_generator(folder, error) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{METADATA_FILE} is not valid: {key}: {first['msg']}. Received: {folder}") from None


def _not_a_generator(folder: Path, error: OSError) -> InvalidInput:
    return InvalidInput(
        f"A generator is a folder with {METADATA_FILE} and {MODEL_FILE}, written by components.train: "
        f"{error.strerror}. Received: {folder}"
    )


def generator_digest(folder: Path) -> str:
    """`sha256-<hex>` of the weights and metadata files of the generator in `folder`.

    Raises:
        InvalidInput: a file is missing or cannot be read.
    """
    sha256 = hashlib.sha256()
    for name in (METADATA_FILE, MODEL_FILE):
        try:
            require_regular(folder / name)
            sha256.update((folder / name).read_bytes())
        except OSError as error:
            raise _not_a_generator(folder, error) from None
    return f"sha256-{sha256.hexdigest()}"


def load_generator(folder: Path) -> Generator:
    """Loads the generator in `folder`.

    Raises:
        InvalidInput: `folder` holds no generator, or its file is damaged.

    >>> load_generator(Path("generator")).metadata.images_seen
    64
    """
    metadata, digest = read_metadata(folder), generator_digest(folder)
    import keras

    # The file may contain their layers, which must be registered with Keras.
    import gan_core.networks.grouped
    import gan_core.networks.layers  # noqa: F401

    try:
        require_modest(folder / MODEL_FILE)
        model = keras.models.load_model(folder / MODEL_FILE, compile=False, safe_mode=True)
        received = [[(tuple(one.shape[1:]), one.dtype) for one in side] for side in (model.inputs, model.outputs)]
    # A hostile file can make the readers raise nearly anything; whatever it is, the file is refused.
    except Exception as error:
        raise InvalidInput(f"{MODEL_FILE} must be a Keras model file: {error}. Received: {folder}") from None
    inputs: list[tuple[tuple[int, ...], str]] = [((metadata.latent_size,), "float32")]
    if metadata.classes:
        inputs.append(((), "int32"))
    if metadata.paired:
        inputs.append((metadata.shape, "float32"))
    if received != [inputs, [(metadata.shape, "float32")]]:
        raise InvalidInput(
            f"{MODEL_FILE} must take latents and give images as {METADATA_FILE} says: {inputs} and "
            f"{[(metadata.shape, 'float32')]}. Received: {received[0]} and {received[1]} in {folder}"
        )
    return Generator(model, metadata, digest)
