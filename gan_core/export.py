"""A trained generator as a folder: `generator.keras` (the averaged weights) and `generator.json` (what it is).

`keras.models.load_model` in safe mode reads it: no code and no pickle of the folder is executed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from gan_core.errors import InvalidInput

MODEL_FILE = "generator.keras"
METADATA_FILE = "generator.json"


class GeneratorMetadata(BaseModel):
    """What a generator is and where it comes from.

    Attributes:
        latent_size: numbers in one latent vector.
        shape: height, width, channels of an image.
        classes: names in order of label; empty for an unconditional generator.
        images_seen: real images shown to the discriminator.
        collapsed: whether the samples' diversity was below train.collapse_diversity at the end.
        dataset_digest, dataset_source: the prepared data it was trained on.
        parameters: the train section it was trained with.
        tracking_run_id: the MLflow run of its training; None if there was none.
        versions: of the packages that trained it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    latent_size: int
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    images_seen: int
    collapsed: bool
    dataset_digest: str
    dataset_source: str
    parameters: dict[str, str | int | float]
    tracking_run_id: str | None
    versions: dict[str, str]


class Generator:
    """A generator ready to sample.

    Attributes:
        model: Keras model, latents [B, latent_size] float32 → images [B, H, W, C] float32 in [−1, 1].
        metadata: what it is.
    """

    def __init__(self, model: Any, metadata: GeneratorMetadata) -> None:
        self.model = model
        self.metadata = metadata

    def sample(self, count: int, seed: int, truncation: float = 1.0, batch_size: int = 256) -> NDArray[np.uint8]:
        """Draws `count` images, uint8 [count, H, W, C]; the first n of them are the same for every count ≥ n."""
        return np.concatenate(list(self.batches(count, seed, truncation, batch_size)))

    def batches(
        self, count: int, seed: int, truncation: float = 1.0, batch_size: int = 256
    ) -> Iterator[NDArray[np.uint8]]:
        """The images of `sample` in batches of at most `batch_size`; one batch is in memory at a time."""
        latents = draw_latents(count, self.metadata.latent_size, seed, truncation)
        for start in range(0, count, batch_size):
            yield to_uint8(np.asarray(self.model(latents[start : start + batch_size], training=False)))


def draw_latents(count: int, latent_size: int, seed: int, truncation: float = 1.0) -> NDArray[np.float32]:
    """Latents z ~ ψ·N(0, I), float32 [count, latent_size], from a counter-based generator keyed by `seed`.

    `truncation` ψ scales towards the mean latent, which is 0: 1 leaves the distribution as trained, less trades
    variety for typicality (Karras et al. 2019, arXiv 1812.04948, section B).
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    return truncation * generator.standard_normal((count, latent_size), dtype=np.float32)


def to_uint8(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Images in [−1, 1] to grey levels: round(127.5·(x + 1)), halves up, the inverse of u / 127.5 − 1."""
    levels: NDArray[np.uint8] = np.clip(np.floor(images * 127.5 + 128.0), 0, 255).astype(np.uint8)
    return levels


def save_generator(folder: Path, model: Any, metadata: GeneratorMetadata) -> None:
    """Writes the generator into the new folder `folder`."""
    folder.mkdir()
    model.save(folder / MODEL_FILE)
    (folder / METADATA_FILE).write_text(metadata.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_metadata(folder: Path) -> GeneratorMetadata:
    """Reads what the generator in `folder` is, without loading it.

    Raises:
        InvalidInput: `folder` holds no generator.
    """
    try:
        return GeneratorMetadata.model_validate_json((folder / METADATA_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(
            f"A generator is a folder with {METADATA_FILE} and {MODEL_FILE}, written by components.train: "
            f"{error.strerror}. Received: {folder}"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{METADATA_FILE} is not valid: {key}: {first['msg']}. Received: {folder}") from None


def load_generator(folder: Path) -> Generator:
    """Loads the generator in `folder`.

    Raises:
        InvalidInput: `folder` holds no generator, or its file is damaged.
    """
    metadata = read_metadata(folder)
    import keras

    try:
        with zipfile.ZipFile(folder / MODEL_FILE) as archive:
            # Stored members cannot be larger than the file: there is no archive that unpacks without end.
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise zipfile.BadZipFile("its members are compressed, which Keras never does")
        model = keras.models.load_model(folder / MODEL_FILE, compile=False, safe_mode=True)
    # A hostile file can make the readers raise nearly anything; whatever it is, the file is refused.
    except Exception as error:
        raise InvalidInput(f"{MODEL_FILE} must be a Keras model file: {error}. Received: {folder}") from None
    return Generator(model, metadata)
