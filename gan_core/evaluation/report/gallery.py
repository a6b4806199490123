"""Selects the images that the report shows, and arranges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.classes import Classes
from gan_core.evaluation.images import GeneratedImages, ImagesWithFeatures
from gan_core.evaluation.metrics.neighbours import nearest, realism
from gan_core.evaluation.protocol import ClassScores
from gan_core.evaluation.report.most_realistic import most_realistic
from gan_core.evaluation.report.pictures import Picture, Pictures, captioned_tiles, strip
from gan_core.evaluation.score_meanings import MEANINGS, score_name
from gan_core.generator import Conditions
from gan_core.sampling import draw_latents

SAMPLES = 32
COLUMNS = 8
REALISM_EXAMPLES = 8
REALISM_NEIGHBOUR = 3
CLASSES = 12
PER_CLASS = 5
NEAREST_SAMPLES = 6
NEIGHBOURS = 4
PAIRS = 21
INTERPOLATIONS = 5
STEPS = 9


@dataclass(frozen=True)
class ClassRow:
    """Images and scores of one class.

    Attributes:
        name: name of the class.
        share, real_share: the class's share of the generated and of the real images, 0 to 1.
        scores: the class's own scores, each as its title and value; empty if it has too few images.
        samples: its first generated images; None if there are none.
        real: its first real images; None if there are none.
    """

    name: str
    share: float
    real_share: float
    scores: list[str]
    samples: Picture | None
    real: Picture | None


@dataclass(frozen=True)
class NearestNeighbours:
    """A generated image and the training or real images that are nearest to it."""

    sample: Picture
    neighbours: list[Picture]


def samples(generated: Pictures) -> Picture:
    """The first generated images."""
    count = min(SAMPLES, generated.count)
    caption = f"The first generated {generated.item}s, without selection."
    alt_text = f"{count} generated {generated.item}s, without selection"
    return strip(generated.at(np.arange(count)), COLUMNS, alt_text, caption, fewer_if_wide=True)


def real_samples(real: Pictures) -> Picture:
    """Real images at regular intervals of the set, because images may be stored class by class."""
    indices = np.unique(np.linspace(0, real.count - 1, min(SAMPLES, real.count)).astype(np.int64))
    caption = f"Real {real.item}s, evenly spaced over the data set."
    return strip(real.at(indices), COLUMNS, f"{len(indices)} real {real.item}s", caption, fewer_if_wide=True)


def pairs(generated: Pictures, inputs: Conditions, targets: Pictures) -> Picture:
    """The first generated images of a paired generator, each between its input and its target."""
    indices = np.arange(min(PAIRS, generated.count, targets.count))
    triples = zip(generated.of(inputs(indices)), generated.at(indices), targets.at(indices), strict=True)
    alt_text = f"{len(indices)} generated {generated.item}s, each between its input and its target"
    item = generated.item
    caption = f"Input, generated {item} and target, for the first {item}s of the reference, without selection."
    return strip((image for triple in triples for image in triple), 9, alt_text, caption)


def most_and_least_realistic(
    real: ImagesWithFeatures, generated: ImagesWithFeatures, classes: Classes | None, pictures: Pictures
) -> tuple[list[Picture], list[Picture]]:
    """The most and the least realistic of the generated images, whose pictures are `pictures`.

    Both are empty if there are too few images to compute realism.
    `most_realistic` documents which images are left out of the first list.
    """
    if min(len(real.features.features), len(generated.features.features)) <= REALISM_NEIGHBOUR:
        return [], []
    values = realism(real.features.features, generated.features.features, REALISM_NEIGHBOUR)
    order = np.argsort(-values, kind="stable")
    count = min(REALISM_EXAMPLES, len(order) // 2)

    def shown(indices: NDArray[np.int64], description: str) -> list[Picture]:
        captions = [f"{values[index]:.2f}" for index in indices]
        return captioned_tiles(pictures.at(indices), captions, description) if len(indices) else []

    return (
        shown(most_realistic(real, generated, classes, values, count), f"Generated {pictures.item} of high realism"),
        shown(order[::-1][:count], f"Generated {pictures.item} of low realism"),
    )


def class_rows(
    scores: Sequence[ClassScores], classes: Classes, real: Pictures, generated: Pictures, extractor: str
) -> list[ClassRow]:
    """A row for each of the first classes. The names of the scores end with `extractor`."""

    def first(images: Pictures, labels: NDArray[np.integer], label: int, description: str) -> Picture | None:
        indices = np.flatnonzero(labels == label)[:PER_CLASS]
        return strip(images.at(indices), PER_CLASS, description, fewer_if_wide=True) if len(indices) else None

    rows = []
    for label, entry in enumerate(scores[:CLASSES]):
        titled = [
            f"{meaning.title} {entry.scores[name]:.3g}"
            for metric, meaning in MEANINGS.items()
            if (name := score_name(metric, extractor)) in entry.scores
        ]
        rows.append(
            ClassRow(
                entry.name,
                entry.generated_share,
                entry.real_share,
                titled,
                first(generated, classes.generated, label, f"Generated {generated.item}s of the class {entry.name}"),
                first(real, classes.real, label, f"Real {real.item}s of the class {entry.name}"),
            )
        )
    return rows


def nearest_neighbours(
    known: ImagesWithFeatures, generated: ImagesWithFeatures, kind: str, pictures: Pictures
) -> list[NearestNeighbours]:
    """The generated images that are nearest to a known image, with their nearest known images.

    Args:
        known: training images, or real images.
        generated: the generated images.
        kind: what the known images are, such as "training image" or "real clip".
        pictures: pictures of the generated images.
    """
    count = min(NEIGHBOURS, len(known.features.features))
    indices, distances = nearest(generated.features.features, known.features.features, count)
    rows = []
    for index in np.argsort(distances[:, 0], kind="stable")[:NEAREST_SAMPLES]:
        (sample,) = captioned_tiles(
            pictures.at(np.array([index])), ["generated"], f"{pictures.item.capitalize()} to compare"
        )
        captions = [f"{distance:.2f}" for distance in distances[index]]
        neighbours = captioned_tiles(
            pictures.of(known.images.images(indices[index])), captions, f"Nearest {kind}, distance"
        )
        rows.append(NearestNeighbours(sample, neighbours))
    return rows


def training_samples(samples: Mapping[int, NDArray[np.uint8]], generated: Pictures) -> list[tuple[str, Picture]]:
    """A row of samples for each recorded moment of the training, with the number of images seen."""
    return [
        (f"{seen:,}", strip(generated.of(images), len(images), f"Samples after {seen:,} real {generated.item}s"))
        for seen, images in samples.items()
    ]


def interpolations(generated: GeneratedImages, pictures: Pictures, seed: int) -> Picture:
    """Spherical interpolations between two latents. Each keeps its class, or its input image.

    slerp(a, b; t) = (sin((1 − t)Ω)·a + sin(tΩ)·b) / sin Ω, with Ω the angle between a and b.
    Reference: White 2016, arXiv 1609.04468, section 2.1.
    """
    ends = draw_latents(2 * INTERPOLATIONS, generated.latent_size, seed)
    paths = []
    for a, b in zip(ends[::2], ends[1::2], strict=True):
        cosine = np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1)
        angle = max(float(np.arccos(cosine)), 1e-6)
        t = np.linspace(0, 1, STEPS)[:, None]
        paths.append((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))
    latents = np.concatenate(paths).astype(np.float32)
    images = generated.draw(latents, np.arange(INTERPOLATIONS).repeat(STEPS))
    return strip(
        pictures.of(images),
        STEPS,
        f"{INTERPOLATIONS} rows, each of which turns one generated {pictures.item} into another",
    )
