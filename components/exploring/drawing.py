"""What the page draws: the items of a seed, a walk between two seeds, and one side of a blind pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.exploring.cards import Card, Row, cards
from components.exploring.training_items import nearest_items
from components.tracking.model_name import AUTO, model_of
from gan_core.codecs import codec_of
from gan_core.errors import InvalidInput
from gan_core.generated_files import draw_batches
from gan_core.generator import Generator
from gan_core.interpolation import spherical
from gan_core.provenance import Provenance
from gan_core.sampling import draw_labels, draw_latents

MOST_SEED = 2**31 - 1
_ITEMS = 16
_NEAREST = 8  # items whose nearest training items are searched
_STATIONS = 9  # of a walk, with its ends
_IN_A_PAIR = {"image": 4, "clip": 2, "text": 8}  # items of each side


@dataclass(frozen=True)
class Wish:
    """What a person wants to see: items of the class `label`, or of all classes if it is empty, with a truncation."""

    label: str
    truncation: float


def look(title: str, generator: Generator, wish: Wish, seed: object, dataset: Path | None) -> list[Row]:
    """Draws the first items of a seed; with `dataset`, fewer, and below them the nearest training items.

    Raises:
        InvalidInput: the seed or the class is wrong; also as `nearest_items`.
    """
    number, count = _seed(seed), _NEAREST if dataset else _ITEMS
    latents = draw_latents(count, generator.metadata.latent_size, number, wish.truncation)
    labels = _labels(generator, wish, count, number)
    arrays = _drawn(generator, latents, labels)
    codec, name = codec_of(generator.metadata), title or "generated"
    captions = [] if labels is None or wish.label else [generator.metadata.classes[label] for label in labels]
    rows = [Row(title, cards(codec, arrays, name, captions, _marks(generator, wish, str(number), count)))]
    if dataset:
        found = nearest_items(dataset, generator, arrays)
        rows.append(
            Row(f"Nearest training {codec.item}s", cards(codec, found.arrays, "real", found.captions), "nearest")
        )
    return rows


def walk(title: str, generator: Generator, wish: Wish, seeds: Sequence[object], share: float) -> tuple[Row, Row]:
    """Draws the item at a share of the way from the first seed's latent to the second's, and the stations of the way.

    Without a class, all items have the class that the first seed draws.
    """
    numbers = [_seed(seed) for seed in seeds]
    start, end = (draw_latents(1, generator.metadata.latent_size, one, wish.truncation)[0] for one in numbers)
    shares = [share, *np.linspace(0, 1, _STATIONS)]
    latents = np.stack([spherical(start, end, one) for one in shares]).astype(np.float32)
    labels = _labels(generator, wish, 1, numbers[0])
    arrays = _drawn(generator, latents, None if labels is None else labels.repeat(len(latents)))
    marks = _marks(generator, wish, ",".join(map(str, numbers)), len(latents))
    captions = [f"{one:.0%}" for one in shares]
    drawn = cards(codec_of(generator.metadata), arrays, title or "generated", captions, marks)
    return Row(title, drawn[:1], "large"), Row("", drawn[1:], "stations")


def side(generator: Generator, wish: Wish, seed: int) -> list[Card]:
    """Draws one side of a blind pair. The marks of its files say only that a generator made them, and not which."""
    codec = codec_of(generator.metadata)
    count = _IN_A_PAIR[codec.item]
    latents = draw_latents(count, generator.metadata.latent_size, seed, wish.truncation)
    arrays = _drawn(generator, latents, _labels(generator, wish, count, seed))
    mark = Provenance("", "", "", wish.truncation, wish.label).xmp()
    return cards(codec, arrays, "generated", marks=[mark] * count)


def any_class(generator: Generator, seed: int) -> str:
    """Returns a class, drawn with the classes' shares; an empty text if there are none."""
    metadata = generator.metadata
    return metadata.classes[draw_labels(1, metadata.class_shares, seed)[0]] if metadata.classes else ""


def _drawn(generator: Generator, latents: NDArray[np.float32], labels: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    return np.concatenate(list(draw_batches(generator, latents, labels)))


def _labels(generator: Generator, wish: Wish, count: int, seed: int) -> NDArray[np.int32] | None:
    classes = generator.metadata.classes
    if not wish.label:
        return draw_labels(count, generator.metadata.class_shares, seed) if classes else None
    if wish.label not in classes:
        raise InvalidInput(f"The version must have the chosen class. Received: {wish.label}")
    return np.full(count, classes.index(wish.label), np.int32)


def _marks(generator: Generator, wish: Wish, seeds: str, count: int) -> list[str]:
    mark = Provenance(model_of(AUTO, generator.metadata), str(generator.digest), seeds, wish.truncation, wish.label)
    return [mark.xmp(number) for number in range(count)]


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_SEED:
        raise InvalidInput(f"A seed must be a whole number from 0 to {MOST_SEED}. Received: {value}")
    return value
