"""The report's texts: generated ones, each beside the training text that is nearest by edit distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_core.codecs.codec import Codec
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics.texts import nearest

CLASSES = 12
PER_CLASS = 16
MOST_COMPARED = 200_000


@dataclass(frozen=True)
class TextPair:
    """A generated text, the nearest known one, and the number of edits between them."""

    text: str
    nearest: str
    edits: int


@dataclass(frozen=True)
class TextRows:
    """Texts of one class; `title` is empty without classes."""

    title: str
    pairs: list[TextPair]


def text_rows(
    codec: Codec, generated: ImagesWithFeatures, known: ImagesWithFeatures | None, classes: Sequence[str]
) -> list[TextRows]:
    """The first generated texts of each class with their nearest known texts; empty if the items are not texts.

    Args:
        codec: the codec of the data.
        generated: the generated items.
        known: training items, or real ones, of which the first MOST_COMPARED are compared.
        classes: names of the classes in label order.
    """
    if known is None or not codec.texts(np.stack(list(known.images.images(np.arange(1))))):
        return []
    pool = np.stack(list(known.images.images(np.arange(min(known.images.count, MOST_COMPARED)))))
    labels = generated.labels if classes else None
    rows = []
    for label, name in enumerate(list(classes[:CLASSES]) if labels is not None else [""]):
        members = np.arange(generated.images.count) if labels is None else np.flatnonzero(labels == label)
        if not len(members[:PER_CLASS]):
            continue
        arrays = np.stack(list(generated.images.images(members[:PER_CLASS])))
        edits, places = nearest(arrays[:, :, 0, 0], pool[:, :, 0, 0])
        texts = zip(codec.texts(arrays), codec.texts(pool[places]), edits.tolist(), strict=True)
        rows.append(TextRows(name, [TextPair(*pair) for pair in texts]))
    return rows
