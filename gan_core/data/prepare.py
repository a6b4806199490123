"""Turns raw images into a prepared data set: shards, manifest, preview.

Images are stored in the order of their digests, and an image's digest alone decides its split. So the result does not
depend on the order or the names of the files. Adding images does not move other images to another split, and all copies
of an image are in one split.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.config import Pairs, PrepareConfig
from gan_core.data.grid import image_grid, write_png
from gan_core.data.manifest import ClassEntry, Manifest, RejectedEntry, Split
from gan_core.data.parallel_decode import decode_all
from gan_core.data.shards import ImageStore, write_shards
from gan_core.data.sources import Source
from gan_core.errors import InvalidInput
from gan_core.output_files import MANIFEST_FILE

PREVIEW_FILE_NAME = "preview.png"
_REJECTED_NAMED = 5
_PREVIEW_ROWS = 10
_PREVIEW_COLUMNS = 10

SplitIndices = Mapping[Split, NDArray[np.int64]]


def prepare(
    source: Source, config: PrepareConfig, folder: str | Path, on_image: Callable[[], None] = lambda: None
) -> Manifest:
    """Decodes the source's images and writes them to `folder`, which must not exist.

    Args:
        source: the raw images.
        config: the parameters of the preparation.
        folder: gets the shards, the manifest and the preview.
        on_image: called after each image that was decoded or rejected.

    Raises:
        InvalidInput: too many images were rejected, or a split would be empty.

    >>> config = PrepareConfig.parse(params["prepare"] | {"source": "digits", "resolution": 16})
    >>> manifest = prepare(open_source(config.source), config, Path("prepared"))
    >>> manifest.shape, manifest.counts
    ((16, 16, 1), {'train': 1322, 'held_out': 475})
    """
    folder = Path(folder)
    folder.mkdir()
    with tempfile.TemporaryFile(dir=folder) as file:
        store = ImageStore(file, (config.resolution, config.resolution, config.channels))
        rejected = _decode_into(store, source, config, on_image)
        _require_few_rejected(rejected, source, config)
        classes = list(source.classes)
        _require_images_of_each_class(store, classes, rejected, config)
        labels = store.labels.astype(np.int64) if classes else np.zeros(len(store.labels), np.int64)
        indices = _split_indices(store, labels, config)
        shards = [
            entry
            for split, chosen in indices.items()
            for entry in write_shards(
                folder,
                split,
                store,
                chosen,
                labels[chosen] if classes else None,
                pairs=config.pairs,
                images_per_shard=config.images_per_shard,
            )
        ]
        mean, standard_deviation = _statistics(store, indices["train"])
        write_png(folder / PREVIEW_FILE_NAME, _preview(store, indices["train"], labels, classes))
        manifest = Manifest(
            format=1,
            digest=_digest(store, indices, labels, classes, config.pairs),
            source=config.source,
            shape=store.shape,
            counts={split: len(chosen) for split, chosen in indices.items()},
            classes=_class_entries(classes, labels, indices),
            mean=mean,
            standard_deviation=standard_deviation,
            settings=config.model_dump(),
            shards=tuple(shards),
            rejected=tuple(rejected),
        ).sealed()
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def is_held_out(digest: bytes, seed: int, fraction: float) -> bool:
    """Whether an image is held out: the first 64 bits of SHA-256(seed, its digest) / 2⁶⁴ are below `fraction`."""
    draw = hashlib.sha256(seed.to_bytes(8, "little") + digest).digest()
    return int.from_bytes(draw[:8], "big") < fraction * 2**64


def _decode_into(
    store: ImageStore, source: Source, config: PrepareConfig, on_image: Callable[[], None]
) -> list[RejectedEntry]:
    rejected = []
    for result in decode_all(source, config):
        if isinstance(result, RejectedEntry):
            rejected.append(result)
        else:
            raw_image, pixels, digest = result
            store.append(pixels, digest, raw_image.label)
        on_image()
    return sorted(rejected, key=lambda entry: entry.path)


def _require_few_rejected(rejected: Sequence[RejectedEntry], source: Source, config: PrepareConfig) -> None:
    if len(rejected) > config.max_rejected_fraction * source.count:
        named = "; ".join(f"{entry.path}: {entry.reason}" for entry in rejected[:_REJECTED_NAMED])
        more = "; …" if len(rejected) > _REJECTED_NAMED else ""
        raise InvalidInput(
            f"The share of unusable images must be at most max_rejected_fraction={config.max_rejected_fraction}. "
            f"Received: {len(rejected)} of {source.count} in {config.source}: {named}{more}"
        )


def _require_images_of_each_class(
    store: ImageStore, classes: Sequence[str], rejected: Sequence[RejectedEntry], config: PrepareConfig
) -> None:
    usable = set(store.labels.tolist())
    lost = [name for label, name in enumerate(classes) if label not in usable]
    if lost:
        reasons = [f"; {entry.path}: {entry.reason}" for entry in rejected if entry.path.startswith(f"{lost[0]}/")]
        raise InvalidInput(
            f"Each class must have a usable image. Received: {config.source} with {len(lost)} that have none: "
            f"{', '.join(lost[:_REJECTED_NAMED])}{''.join(reasons[:1])}"
        )


def _split_indices(
    store: ImageStore, labels: NDArray[np.int64], config: PrepareConfig
) -> dict[Split, NDArray[np.int64]]:
    """Returns each split's indices in the store, in the order of the shards: by digest, then by label."""
    digests = store.digests
    order = np.lexsort((labels, *digests.view(">u8").T[::-1]))
    held_out = np.array(
        [is_held_out(digests[index].tobytes(), config.seed, config.held_out_fraction) for index in order], bool
    )
    if held_out.all() or not held_out.any():
        raise InvalidInput(
            "Both splits, train and held-out, must get an image. With few images, this depends on the seed. Received: "
            f"{len(order)} usable images in {config.source}, {held_out.sum()} of them held out with "
            f"held_out_fraction={config.held_out_fraction}, seed={config.seed}"
        )
    return {"train": order[~held_out], "held_out": order[held_out]}


def _statistics(store: ImageStore, indices: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns each channel's mean and standard deviation, from histograms, which are exact in any order."""
    channels = store.shape[2]
    histogram = np.zeros((channels, 256), np.int64)
    for index in indices:
        for channel, pixels in enumerate(np.moveaxis(store.read(index), 2, 0)):
            histogram[channel] += np.bincount(pixels.ravel(), minlength=256)
    levels = np.arange(256)
    mean = histogram @ levels / histogram.sum(axis=1)
    variance = (histogram * (levels - mean[:, None]) ** 2).sum(axis=1) / histogram.sum(axis=1)
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())


def _digest(
    store: ImageStore, indices: SplitIndices, labels: NDArray[np.int64], classes: Sequence[str], pairs: Pairs
) -> str:
    """Returns the digest of shape, class names, counts, pairs, and each split's pixel digests and labels in order."""
    counts = {split: len(chosen) for split, chosen in indices.items()}
    paired = [] if pairs == "none" else [pairs]
    sha256 = hashlib.sha256(json.dumps([store.shape, classes, counts, *paired]).encode())
    for chosen in indices.values():
        sha256.update(store.digests[chosen].tobytes())
        sha256.update(labels[chosen].astype("<i4").tobytes())
    return f"sha256-{sha256.hexdigest()}"


def _class_entries(classes: Sequence[str], labels: NDArray[np.int64], indices: SplitIndices) -> tuple[ClassEntry, ...]:
    train, held_out = (np.bincount(labels[indices[split]], minlength=len(classes)) for split in ("train", "held_out"))
    return tuple(
        ClassEntry(name=name, train=int(train[label]), held_out=int(held_out[label]))
        for label, name in enumerate(classes)
    )


def _preview(
    store: ImageStore, indices: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str]
) -> NDArray[np.uint8]:
    """Returns a grid of training images, with a row for each of the first classes if there are classes."""
    first = [indices[start : start + _PREVIEW_COLUMNS] for start in range(0, len(indices), _PREVIEW_COLUMNS)]
    of_class = [indices[labels[indices] == label] for label in range(labels.max() + 1)]
    rows = (of_class if classes else first)[:_PREVIEW_ROWS]
    images = np.full((len(rows), _PREVIEW_COLUMNS, *store.shape), 255, np.uint8)
    for row, chosen in enumerate(rows):
        for column, index in enumerate(chosen[:_PREVIEW_COLUMNS]):
            images[row, column] = store.read(index)
    return image_grid(images.reshape(-1, *store.shape), _PREVIEW_COLUMNS, names=classes)
