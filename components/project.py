"""Finds the latent whose image is nearest to a given image, and draws the way to it.

The folder of the output gets projection.png (the input, the found image, and the way from a random start), found.png
or found.wav (what the generator draws), and latent.json (the latent, its class and the differences). The input is
decoded, cropped and resized as `prepare` does it, with the parameters of --config, but to the generator's own shape.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from components.cli.option_numbers import number
from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from components.registry.model_option import add_model, generator_folder
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.outputs import whole_output
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run
from gan_core.output_files import LATENT_FILE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gan_core.codecs.codec import Codec
    from gan_core.generator import Generator, GeneratorMetadata
    from gan_core.projection import Projection

_MOST_STARTS = 512
_MOST_BYTES = 2**28


def main() -> None:
    """Reads the command line, decodes the input, searches, and writes the result."""
    arguments = parser().parse_args()
    with paths.local_paths(arguments) as local, generator_folder(local.model) as folder:
        from gan_core.codecs import codec_of
        from gan_core.export import load_generator, read_metadata

        metadata = read_metadata(folder)
        labels = _labels(arguments, metadata)
        target = _decoded(local.input, arguments.config, codec_of(metadata))
        configure_tensorflow()

        from components.cli.progress import progress
        from gan_core.projection import project

        generator = load_generator(folder)
        with progress(arguments.steps, "steps", "project") as shown:
            found = project(
                generator,
                target,
                labels,
                starts=arguments.starts,
                steps=arguments.steps,
                seed=arguments.seed,
                advance=shown.advance,
            )
        with whole_output(local.output) as place:
            _write(place, arguments, generator, target, found)
    of_class = "" if found.label is None else f"class {metadata.classes[found.label]}, "
    print(
        f"{arguments.output}: {of_class}mean squared difference of the pixels {found.pixels[0]:.3g} → "
        f"{found.pixels[-1]:.3g}, of the features {found.features[0]:.3g} → {found.features[-1]:.3g}"
    )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.project", description=__doc__)
    add = options.add_argument
    add("input", type=paths.input_path, help="image, or sound for a generator of sound")
    add_model(options)
    add("--config", default="params.yaml", help="params.yaml, or its prepare section as a JSON object")
    add("--output", type=paths.output(kinds.PROJECTION), required=True, help="output: a folder")
    add("--label", help="class of the found image; default: all classes are tried, and the nearest is kept")
    add("--steps", type=number("--steps", int, 1, 100_000), default=500, help="steps of Adam")
    add(
        "--starts",
        type=number("--starts", int, 1, _MOST_STARTS),
        default=4,
        help="random starts for each class, all of them in one batch",
    )
    add("--seed", type=number("--seed", int, 0, 2**31 - 1), default=0, help="seed of the starts")
    return options


def _labels(arguments: argparse.Namespace, metadata: GeneratorMetadata) -> list[int]:
    """Checks that the options fit the generator; returns the classes to try."""
    from gan_core.codecs import codec_of
    from gan_core.generated_files import require_label

    if metadata.paired or codec_of(metadata).symbols:
        kind = "a paired generator" if metadata.paired else f"a generator of {codec_of(metadata).item}s"
        raise InvalidInput(
            f"The generator must make images or clips from latents alone. Received: --model {arguments.model}, {kind}"
        )
    if arguments.label is not None:
        require_label(arguments.label, metadata.classes)
        return [metadata.classes.index(arguments.label)]
    if arguments.starts * len(metadata.classes) > _MOST_STARTS:
        raise InvalidInput(
            f"At most {_MOST_STARTS} starts can be searched together: set --label, or fewer --starts. Received: "
            f"{arguments.starts} for each of {len(metadata.classes)} classes"
        )
    return list(range(len(metadata.classes)))


def _decoded(place: Path, config: str, codec: Codec) -> NDArray[np.uint8]:
    """Returns the stored array of the file at `place`, as `prepare` would make it for the generator's codec."""
    from gan_core.data.parameters import PrepareConfig
    from gan_core.errors import UnreadableItem
    from gan_core.modalities import MODALITIES
    from gan_core.untrusted_files import read_bytes

    modality, settings = MODALITIES[codec.modality], read_section(config, PrepareConfig).of(codec.modality)
    fixed = dict(zip(("height", "width", "channels"), codec.shape, strict=True)) | codec.model_dump()
    settings = settings.model_copy(
        update={key: fixed[key] for key in type(settings).model_fields.keys() & fixed.keys()}
    )
    try:
        opener = functools.partial(modality.read, read_bytes(place, _MOST_BYTES))
        return codec.encode(modality.decode(opener, settings))
    except (OSError, UnreadableItem) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"The input must be a file that prepare accepts: {reason}. Received: {place}") from None


def _write(
    place: Path, arguments: argparse.Namespace, generator: Generator, target: NDArray[np.uint8], found: Projection
) -> None:
    """Writes the three files into the new folder `place`."""
    import numpy as np

    from components.tracking.model_name import AUTO, model_of
    from gan_core.codecs import codec_of
    from gan_core.codecs.grid import png_bytes
    from gan_core.found_latent import FoundLatent
    from gan_core.generated_files import draw_batches
    from gan_core.projection import PICTURES
    from gan_core.provenance import COMPOSITE_TYPE, Provenance, marked_wav

    metadata, codec = generator.metadata, codec_of(generator.metadata)
    label = "" if found.label is None else metadata.classes[found.label]
    labels = None if found.label is None else np.full(len(found.latents), found.label, np.int32)
    way = np.concatenate(list(draw_batches(generator, found.latents, labels)))
    seeds = f"projection from {arguments.seed}"
    mark = functools.partial(Provenance, model_of(AUTO, metadata), str(generator.digest), seeds, 1.0, label)
    cells = np.arange(2 * PICTURES)
    filled = (cells < 2) | ((cells >= PICTURES) & (cells < PICTURES + len(way)))
    picture = codec.grid(
        np.concatenate([target[None], way[-1:], way]), PICTURES, names=["input, found", "the way"], filled=filled
    )
    place.mkdir()
    (place / "projection.png").write_bytes(png_bytes(picture, mark(COMPOSITE_TYPE).xmp()))
    if sounds := codec.sounds(way[-1:]):
        (place / "found.wav").write_bytes(marked_wav(sounds[0], mark().xmp()))
    else:
        (place / "found.png").write_bytes(png_bytes(codec.picture(way[-1]), mark().xmp()))
    record = FoundLatent(
        **mark().record(),
        steps=found.steps,
        pixel_differences=tuple(found.pixels.tolist()),
        feature_differences=tuple(found.features.tolist()),
        class_differences={metadata.classes[one]: value for one, value in found.classes.items()},
        latent=tuple(found.latents[-1].tolist()),
    )
    (place / LATENT_FILE).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
