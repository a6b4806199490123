"""The report's texts: generated ones, each beside the training text that is nearest by edit distance."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_core.codecs.codec import Codec
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics.texts import compared, nearest

CLASSES = 12
PER_CLASS = 16
_BATCH = 4096


@dataclass(frozen=True)
class TextPair:
    """A generated text, the nearest known one, and the number of edits between them."""

    text: str
    nearest: str
    edits: int


@dataclass(frozen=True)
class TextRows:
    """Texts of one class; `title` is empty without classes.

    `compared` is the number of known texts, the first ones, with which a text that is no copy was compared; 0 for all.
    """

    title: str
    pairs: list[TextPair]
    compared: int = 0


def text_rows(
    codec: Codec, generated: ImagesWithFeatures, known: ImagesWithFeatures | None, classes: Sequence[str]
) -> list[TextRows]:
    """The first generated texts of each class with their nearest known texts; empty if the items are not texts.

    Args:
        codec: the codec of the data.
        generated: the generated items.
        known: training items, or real ones.
        classes: names of the classes in label order.
    """
    if known is None or not codec.texts(np.stack(list(known.images.images(np.arange(1))))):
        return []
    pool = np.concatenate(list(known.images.batches(_BATCH)))
    labels = generated.labels if classes else None
    drawn = {}
    for label, name in enumerate(list(classes[:CLASSES]) if labels is not None else [""]):
        members = np.arange(generated.images.count) if labels is None else np.flatnonzero(labels == label)
        if len(members):
            drawn[name] = np.stack(list(generated.images.images(members[:PER_CLASS])))
    if not drawn:
        return []
    arrays = np.concatenate(list(drawn.values()))
    sides = arrays[:, :, 0, 0], pool[:, :, 0, 0]
    edits, places = nearest(*sides)
    count = compared(*sides)
    texts = zip(codec.texts(arrays), codec.texts(pool[places]), edits.tolist(), strict=True)
    pairs = itertools.starmap(TextPair, texts)
    return [
        TextRows(name, list(itertools.islice(pairs, len(one))), 0 if count == len(pool) else count)
        for name, one in drawn.items()
    ]
