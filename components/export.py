"""Writes a generator for programs without this project: as a SavedModel, for LiteRT (tflite), or as ONNX.

The output is a folder with the model and export.json, which describes its inputs, outputs and origin. Before it
appears, the model is run by its own runtime and compared with the Keras generator.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.cli.tensorflow_settings import configure_tensorflow
from components.registry.model_option import add_model, generator_folder
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.outputs import whole_output
from gan_core.exit_codes import run
from gan_core.output_files import EXPORT_FILE

if TYPE_CHECKING:
    from components.exporting.formats import Format
    from gan_core.generator import Generator, GeneratorMetadata

_MEANINGS = {
    "latents": "random numbers from the standard normal distribution; truncation multiplies them by a number below 1",
    "labels": "position of the class in `classes`, from 0",
    "inputs": "input image: levels u from 0 to 255 as u / 127.5 - 1",
}
_LEVELS = "levels: the stored array is floor(127.5 * x + 128), limited to 0 to 255"
_SYMBOLS = "probability of each symbol at each place: symbol 0 ends the text, symbol k is number k - 1 of the alphabet"


def main() -> None:
    """Reads the command line, and exports."""
    arguments = parser().parse_args()
    with paths.local_paths(arguments) as local:
        from components.exporting.formats import FORMATS

        form = FORMATS[local.format]
        form.require_installed()
        with generator_folder(local.model) as folder:
            configure_tensorflow()
            # An exported model cannot be trained, and TensorFlow warns of that.
            logging.getLogger("absl").addFilter(lambda record: "custom gradients" not in record.getMessage())
            from gan_core.export import load_generator

            generator = load_generator(folder)
        with whole_output(local.output) as place:
            place.mkdir()
            checked = write_export(generator, form, place)
    print(
        f"{arguments.output}: {local.format} of the generator {generator.digest}. The values for {checked['latents']} "
        f"latents differ from Keras's by at most {checked['largest_difference']:.1e}. "
        f"The tolerance is {checked['tolerance']:g}."
    )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.export", description=__doc__)
    add_model(options)
    options.add_argument("--format", choices=["saved_model", "tflite", "onnx"], required=True, help="format to write")
    options.add_argument("--output", type=paths.output(kinds.EXPORT), required=True, help="output folder")
    return options


def write_export(generator: Generator, form: Format, folder: Path) -> dict[str, Any]:
    """Writes a generator and its description into the existing `folder`; returns the record of the comparison.

    Raises:
        InvalidInput: the network cannot be written in this format, or the written model makes other items.
    """
    from components.exporting.check import compare, example_inputs

    model, metadata = generator.model, generator.metadata
    arrays = example_inputs(metadata)
    checked = {"runtime": f"{form.runtime} {importlib.import_module(form.runtime).__version__}"}
    checked |= compare(model, form.write(model, list(arrays), folder), form.rows, arrays)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    record = {
        "files": files,
        "inputs": [
            _described(name, tensor, form.rows, _MEANINGS[name])
            for name, tensor in zip(arrays, model.inputs, strict=True)
        ],
        "outputs": [_described("values", model.outputs[0], form.rows, _meaning(metadata))],
        **_origin(generator),
        "checked": checked,
    }
    (folder / EXPORT_FILE).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return checked


def _described(name: str, tensor: Any, rows: int | None, meaning: str) -> dict[str, Any]:
    return {"name": name, "shape": [rows, *tensor.shape[1:]], "dtype": tensor.dtype, "meaning": meaning}


def _meaning(metadata: GeneratorMetadata) -> str:
    from gan_core.codecs import codec_of

    return _SYMBOLS if codec_of(metadata).symbols else _LEVELS


def _origin(generator: Generator) -> dict[str, Any]:
    """Returns the classes, the codec, and where the generator comes from."""
    from components.tracking.model_name import AUTO, model_of
    from gan_core.codecs import codec_of
    from gan_core.provenance import SOURCE_TYPE

    metadata = generator.metadata
    return {
        "classes": metadata.classes,
        "class_shares": metadata.class_shares,
        "codec": codec_of(metadata).model_dump(mode="json"),
        "digital_source_type_of_items": SOURCE_TYPE,
        "model": model_of(AUTO, metadata),
        "digest": generator.digest,
        "dataset_source": metadata.dataset_source,
        "dataset_digest": metadata.dataset_digest,
        "images_seen": metadata.images_seen,
    }


if __name__ == "__main__":
    run(main)
