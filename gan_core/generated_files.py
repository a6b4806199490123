"""What a generator draws, as files: a grid, single files, lines of text, or a walk between latents.

Equal arguments give equal bytes. The first n items are the same for every count ≥ n.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.codecs.codec import Codec
from gan_core.codecs.grid import image_grid, png_bytes
from gan_core.errors import InvalidInput
from gan_core.file_names import require_names
from gan_core.generator import Generator
from gan_core.output_files import ITEMS_FILE
from gan_core.provenance import Provenance, marked_wav

_BATCH_SIZE = 16
_COLUMNS = 8
_MOST_COLUMNS = 16
_FRAME_MILLISECONDS = 50


def draw_batches(
    generator: Generator, latents: NDArray[np.float32], labels: NDArray[np.int32] | None
) -> Iterator[NDArray[np.uint8]]:
    """Yields the arrays of latents [N, latent_size] and labels [N] in batches, uint8 [≤ 16, H, W, C].

    The network always gets 16 rows; the last row fills the last batch. With another number of rows, rounding could
    change a level of an item by one.
    """
    for start in range(0, len(latents), _BATCH_SIZE):
        rows = np.minimum(np.arange(start, start + _BATCH_SIZE), len(latents) - 1)
        drawn = generator.draw(latents[rows], None if labels is None else labels[rows])
        yield drawn[: len(latents) - start]


def grid_png(
    codec: Codec,
    arrays: NDArray[np.uint8],
    labels: NDArray[np.int32] | None,
    classes: Sequence[str],
    provenance: Provenance,
) -> bytes:
    """Returns a PNG file of all items, uint8 [N, H, W, C].

    If there are labels [N], each row holds items of one class, with its name on the left. A class with more than 16
    items takes several rows.
    """
    if labels is None:
        return png_bytes(codec.grid(arrays, _COLUMNS), provenance.xmp())
    counts = np.bincount(labels, minlength=len(classes))
    columns = _COLUMNS if np.count_nonzero(counts) == 1 else min(int(counts.max()), _MOST_COLUMNS)
    rows = -(-counts // columns)
    names = [name for name, some in zip(classes, rows, strict=True) for name in [name] * some]
    filled = [np.arange(some * columns) < count for some, count in zip(rows, counts, strict=True)]
    ordered = arrays[np.argsort(labels, kind="stable")]
    return png_bytes(codec.grid(ordered, columns, names=names, filled=np.concatenate(filled)), provenance.xmp())


def item_files(
    generator: Generator,
    batches: Iterable[NDArray[np.uint8]],
    labels: NDArray[np.int32] | None,
    provenance: Provenance,
) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of a PNG or WAV file for each item, or of a file of texts for each class.

    With labels [N], the files are in folders named after the classes. A slash in a name makes two folders, which
    `prepare` does not read as a class.

    Raises:
        InvalidInput: a class name cannot be a folder's name.
    """
    codec, classes = codec_of(generator.metadata), generator.metadata.classes
    require_names([ITEMS_FILE, *(f"{name}/0" for name in classes)], "the classes of the generator")
    number, texts = 0, dict[str, list[str]]()
    for arrays in batches:
        numbers = range(number, number + len(arrays))
        names = ["" if labels is None else classes[labels[one]] for one in numbers]
        if lines := codec.texts(arrays):
            for name, line in zip(names, lines, strict=True):
                texts.setdefault(f"{name or 'texts'}.txt", []).append(line)
        else:
            suffix, files = marked_files(codec, arrays, [provenance.xmp(one) for one in numbers])
            for one, name, content in zip(numbers, names, files, strict=True):
                yield f"{name}/{one:06}{suffix}".lstrip("/"), content
        number += len(arrays)
    for name, group in texts.items():
        yield name, text_lines(group)


def marked_files(codec: Codec, arrays: NDArray[np.uint8], marks: Sequence[str]) -> tuple[str, list[bytes]]:
    """Returns a suffix, .png or .wav, and the file of each array, uint8 [N, H, W, C], with its XMP packet.

    The codec must not be of texts.
    """
    if sounds := codec.sounds(arrays):
        return ".wav", [marked_wav(sound, mark) for sound, mark in zip(sounds, marks, strict=True)]
    return ".png", [png_bytes(codec.picture(array), mark) for array, mark in zip(arrays, marks, strict=True)]


def with_record(files: Iterable[tuple[str, bytes]], provenance: Provenance) -> Iterator[tuple[str, bytes]]:
    """Yields the files, and then `generated.json`, which lists them and says what made them."""
    names = []
    for name, content in files:
        names.append(name)
        yield name, content
    yield ITEMS_FILE, (json.dumps({**provenance.record(), "files": names}, indent=2) + "\n").encode()


def text_lines(texts: Iterable[str]) -> bytes:
    """Returns the content of a file with a text in each line."""
    return "".join(f"{text}\n" for text in texts).encode()


def walk_webp(pictures: NDArray[np.uint8], provenance: Provenance) -> bytes:
    """Returns an animated WebP file, lossless and repeated for ever, of pictures, uint8 [N, H, W, 1 or 3].

    Small pictures are enlarged as in a grid.
    """
    from PIL import Image

    grids = [image_grid(picture[None], columns=1, gap=0) for picture in pictures]
    frames: list[Any] = [Image.fromarray(grid[:, :, 0] if grid.shape[2] == 1 else grid) for grid in grids]
    content = io.BytesIO()
    frames[0].convert("RGB").save(
        content,
        "WEBP",
        save_all=True,
        append_images=[frame.convert("RGB") for frame in frames[1:]],
        duration=_FRAME_MILLISECONDS,
        loop=0,
        lossless=True,
        xmp=provenance.xmp().encode(),
    )
    return content.getvalue()


def write_folder(place: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Writes files by name into the new folder `place`."""
    place.mkdir()
    for name, content in files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)


def write_zip(place: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Writes files by name into a zip without compression and without dates."""
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content)


def require_label(label: str, classes: Sequence[str]) -> None:
    """Checks that there is a class `label`.

    Raises:
        InvalidInput: there is none.
    """
    if label not in classes:
        rule = f"one of {', '.join(classes)}" if classes else "absent, because the generator has no classes"
        raise InvalidInput(f"--label must be {rule}. Received: --label {label}")
