"""A trained generator as a folder: `generator.keras` (the averaged weights) and `generator.json` (the metadata).

`keras.models.load_model` reads it in safe mode, so neither code nor a pickle in the folder is executed.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gan_core.codecs import codec_of
from gan_core.errors import InvalidInput
from gan_core.generator import Generator, GeneratorMetadata
from gan_core.keras_file import check_keras_file
from gan_core.output_files import METADATA_FILE, MODEL_FILE
from gan_core.record import faults
from gan_core.representation import network_shape
from gan_core.sampling import draw_latents
from gan_core.untrusted_files import read_bytes, require_regular

__all__ = [
    "Generator",
    "draw_latents",
    "generator_digest",
    "load_generator",
    "read_metadata",
    "save_generator",
]
# Code in registered model versions imports Generator, draw_latents and load_generator from this module.

_MOST_METADATA_BYTES = 2**26


def save_generator(folder: str | Path, model: Any, metadata: GeneratorMetadata) -> None:
    """Writes the generator into the new folder `folder`; equal weights and metadata give equal bytes.

    >>> save_generator(Path("copy"), generator.model, generator.metadata)
    >>> np.array_equal(load_generator(Path("copy")).sample(4, seed=0), generator.sample(4, seed=0))
    True
    """
    folder = Path(folder)
    folder.mkdir()
    with tempfile.TemporaryDirectory(dir=folder) as workplace:
        dated = Path(workplace) / MODEL_FILE
        model.save(dated)
        _copy_undated(dated, folder / MODEL_FILE)
    (folder / METADATA_FILE).write_text(metadata.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _copy_undated(source: Path, target: Path) -> None:
    """Copies a .keras file without its save time, so that equal weights give equal bytes."""
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
        raise InvalidInput(f"{METADATA_FILE} is not valid: {faults(error)[0]}. Received: {folder}") from None


def _not_a_generator(folder: Path, error: OSError) -> InvalidInput:
    return InvalidInput(
        f"A generator is a folder with {METADATA_FILE} and {MODEL_FILE}, written by components.train: "
        f"{error.strerror}. Received: {folder}"
    )


def generator_digest(folder: Path) -> str:
    """Returns `sha256-<hex>` of the two files of the generator in `folder`, its weights and its metadata.

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


def load_generator(folder: str | Path) -> Generator:
    """Loads the generator in `folder`.

    Raises:
        InvalidInput: `folder` holds no generator, or its file is damaged.

    >>> load_generator(Path("generator")).metadata.images_seen
    80
    """
    folder = Path(folder)
    metadata, digest = read_metadata(folder), generator_digest(folder)
    import keras

    # The import registers the layers that the file may contain.
    import gan_core.networks.grouped
    import gan_core.networks.layers  # noqa: F401

    try:
        check_keras_file(folder / MODEL_FILE)
        model = keras.models.load_model(folder / MODEL_FILE, compile=False, safe_mode=True)
        received = [[(tuple(one.shape[1:]), one.dtype) for one in side] for side in (model.inputs, model.outputs)]
    # A hostile file can make the readers raise nearly any exception.
    except Exception as error:
        raise InvalidInput(f"{MODEL_FILE} must be a Keras model file: {error}. Received: {folder}") from None
    inputs: list[tuple[tuple[int, ...], str]] = [((metadata.latent_size,), "float32")]
    if metadata.classes:
        inputs.append(((), "int32"))
    if metadata.paired:
        inputs.append((metadata.shape, "float32"))
    outputs = [(network_shape(metadata.shape, codec_of(metadata).symbols), "float32")]
    if received != [inputs, outputs]:
        raise InvalidInput(
            f"{MODEL_FILE} must have the inputs and output that {METADATA_FILE} describes: {inputs} and "
            f"{outputs}. Received: {received[0]} and {received[1]} in {folder}"
        )
    return Generator(model, metadata, digest)
