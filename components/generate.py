"""Draws items of a generator into files, each of which says that a trained generator made it.

The output's suffix chooses the form. A .png is a grid, a .webp an animated walk through the latents of several seeds,
and a .txt has a text in each line. A .zip, or a folder without a suffix, holds a file for each image or sound.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from components.cli.option_numbers import number
from components.cli.tensorflow_settings import configure_tensorflow
from components.registry.model_option import add_model, generator_folder
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.outputs import Output, whole_output
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

if TYPE_CHECKING:
    from gan_core.generator import Generator, GeneratorMetadata

_MOST_ITEMS = 100_000
_MOST_PICTURES = 1024
_MOST_SEED = 2**31 - 1
_FORMS = {"": kinds.ITEMS, ".png": kinds.SAMPLES, ".txt": kinds.TEXTS, ".webp": kinds.WALK, ".zip": kinds.ITEMS_ZIP}


def main() -> None:
    """Reads the command line, runs the cheap checks, and generates."""
    arguments = parser().parse_args()
    with paths.local_paths(arguments) as local, generator_folder(local.model) as folder:
        from gan_core.export import load_generator, read_metadata

        metadata = read_metadata(folder)
        _check(local, metadata)
        configure_tensorflow()
        generator = load_generator(folder)
        with whole_output(local.output) as place:
            _write(local, generator, place)
    print(f"{arguments.output}: made by the generator {generator.digest}")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.generate", description=__doc__)
    add = options.add_argument
    add_model(options)
    add("--output", type=_output, required=True, help="output: .png, .webp, .txt, .zip, or a folder")
    add(
        "--count",
        type=number("--count", int, 1, _MOST_ITEMS),
        default=64,
        help="items to draw; for a walk, pictures from each seed to the next",
    )
    add(
        "--seed",
        type=_seeds,
        default=[0],
        help="seed of the items; for a walk, two or more, or found latents: 0,7,latent.json",
    )
    add("--label", help="class of all items; default: classes are drawn as often as the training showed them")
    add(
        "--truncation",
        type=number("--truncation", float, 0, 1),
        default=1.0,
        help="from 0 to 1; a smaller value gives more typical and less varied items; not for found latents",
    )
    return options


def _output(text: str) -> Output | paths.BucketOutput:
    suffix = "" if text.endswith("/") else os.path.splitext(text)[1].lower()
    if suffix not in _FORMS:
        allowed = ", ".join(form for form in _FORMS if form)
        raise InvalidInput(f"--output must end in {allowed}, or in / for a folder. Received: --output {text}")
    return paths.output(_FORMS[suffix])(text)


def _seeds(text: str) -> list[int | Path]:
    read: Callable[[str], int] = number("--seed", int, 0, _MOST_SEED)
    return [paths.local_path(part) if part.endswith(".json") else read(part) for part in text.split(",")]


def _check(arguments: argparse.Namespace, metadata: GeneratorMetadata) -> None:
    """Checks that the options fit each other and the generator."""
    from gan_core.codecs import codec_of
    from gan_core.generated_files import require_label

    kind, codec, seeds = arguments.output.kind, codec_of(metadata), len(arguments.seed)
    if metadata.paired:
        raise InvalidInput(
            "The generator must not be paired, because a paired one needs input images: components.serve answers them. "
            f"Received: --model {arguments.model}"
        )
    if arguments.label is not None:
        require_label(arguments.label, metadata.classes)
    if kind is kinds.TEXTS and not codec.symbols:
        raise InvalidInput(
            f"A .txt file needs a generator of texts. Received: --output {arguments.output}, a generator of "
            f"{codec.item}s"
        )
    if (kind is kinds.WALK) != (seeds > 1):
        raise InvalidInput(
            f"A .webp walk needs two or more seeds (--seed 0,7), any other output one. Received: {seeds} for "
            f"{arguments.output}"
        )
    if kind is not kinds.WALK and isinstance(arguments.seed[0], Path):
        raise InvalidInput(
            f"--seed must be a number, because only a walk goes through a found latent. Received: {arguments.seed[0]}"
        )
    if kind is kinds.WALK and metadata.classes and arguments.label is None:
        raise InvalidInput(
            f"A walk needs a class: set --label to one of {', '.join(metadata.classes)}. Received: no --label"
        )
    if kind in (kinds.SAMPLES, kinds.WALK) and arguments.count * seeds > _MOST_PICTURES:
        raise InvalidInput(
            f"A grid or a walk must have at most {_MOST_PICTURES} pictures. Received: {arguments.count * seeds}"
        )


def _write(arguments: argparse.Namespace, generator: Generator, place: Path) -> None:
    """Draws the items and writes them to `place` in the form of the output's kind."""
    import numpy as np

    from components.tracking.model_name import AUTO, model_of
    from gan_core import generated_files as files
    from gan_core.codecs import codec_of
    from gan_core.found_latent import read_latent
    from gan_core.interpolation import closed_path
    from gan_core.provenance import Provenance
    from gan_core.sampling import draw_labels, draw_latents

    metadata, kind = generator.metadata, arguments.output.kind
    codec, size, truncation = codec_of(metadata), metadata.latent_size, arguments.truncation
    found = {
        one: read_latent(one, str(generator.digest), metadata.latent_size)
        for one in arguments.seed
        if isinstance(one, Path)
    }
    provenance = Provenance(
        model_of(AUTO, metadata),
        str(generator.digest),
        ",".join(found[one].seed if one in found else str(one) for one in arguments.seed),
        truncation,
        arguments.label or "",
    )
    if kind is kinds.WALK:
        points = [
            np.array(found[one].latent, np.float32) if one in found else draw_latents(1, size, one, truncation)[0]
            for one in arguments.seed
        ]
        latents = closed_path(np.stack(points), arguments.count)
    else:
        latents = draw_latents(arguments.count, size, arguments.seed[0], truncation)
    labels = None
    if arguments.label is not None:
        labels = np.full(len(latents), metadata.classes.index(arguments.label), np.int32)
    elif metadata.classes:
        labels = draw_labels(len(latents), metadata.class_shares, arguments.seed[0])
    batches = files.draw_batches(generator, latents, labels)
    if kind is kinds.SAMPLES:
        arrays = np.concatenate(list(batches))
        place.write_bytes(files.grid_png(codec, arrays, labels, metadata.classes, provenance))
    elif kind is kinds.WALK:
        place.write_bytes(files.walk_webp(codec.pictures(np.concatenate(list(batches))), provenance))
    elif kind is kinds.TEXTS:
        place.write_bytes(files.text_lines(text for arrays in batches for text in codec.texts(arrays)))
    else:
        write = files.write_folder if kind is kinds.ITEMS else files.write_zip
        write(place, files.with_record(files.item_files(generator, batches, labels, provenance), provenance))


if __name__ == "__main__":
    run(main)
