"""The training items that are nearest to generated ones."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.data.prepared import ImageSplit, PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.metrics import neighbours, texts
from gan_core.generator import Generator

_ITEMS_AT_ONCE = 1024


class Nearest(NamedTuple):
    """The nearest training item of each generated one, and how near it is."""

    arrays: NDArray[np.uint8]
    captions: list[str]


def nearest_items(dataset: Path, generator: Generator, arrays: NDArray[np.uint8]) -> Nearest:
    """Finds the training item that is nearest to each array, uint8 [N, H, W, C].

    Texts are compared by the number of inserted, deleted and replaced characters, other items by the root of the mean
    squared difference of their levels, from 0 to 255.

    Args:
        dataset: the prepared data.
        generator: the generator that drew the arrays.
        arrays: the items.

    Raises:
        InvalidInput: there is no such data, or it is not the data that trained the generator.
    """
    prepared, metadata = PreparedDataset(dataset), generator.metadata
    if prepared.manifest.digest != metadata.dataset_digest:
        raise InvalidInput(
            f"The nearest training {codec_of(metadata).item}s need the data that trained this version, "
            f"{metadata.dataset_digest[:19]}…, prepared in the folder of --dataset. Received: {dataset} with "
            f"{prepared.manifest.digest[:19]}…"
        )
    train = prepared.split("train")
    if codec_of(metadata).texts(arrays):
        pool = train.images(np.arange(train.count))
        edits, places = texts.nearest(arrays.reshape(len(arrays), -1), pool.reshape(len(pool), -1))
        return Nearest(train.images(places), [f"{count} edits" if count else "a copy" for count in edits])
    places, distances = _nearest_levels(arrays, train)
    return Nearest(train.images(places), [f"{one:.1f} levels away" if one else "a copy" for one in distances])


def _nearest_levels(arrays: NDArray[np.uint8], train: ImageSplit) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    queries = arrays.reshape(len(arrays), -1).astype(np.float64)
    places, distances = np.zeros(len(queries), np.int64), np.full(len(queries), np.inf)
    start = 0
    for batch in train.batches(_ITEMS_AT_ONCE):
        found, measured = neighbours.nearest(queries, batch.reshape(len(batch), -1).astype(np.float64), 1)
        nearer = measured[:, 0] < distances
        places[nearer], distances[nearer] = start + found[nearer, 0], measured[nearer, 0]
        start += len(batch)
    return places, distances / np.sqrt(queries.shape[1])
