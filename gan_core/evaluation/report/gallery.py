"""Which images the report shows, and beside which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.classes import Classes
from gan_core.evaluation.images import GeneratedImages, Images, ImagesWithFeatures
from gan_core.evaluation.metrics.neighbours import nearest, realism
from gan_core.evaluation.protocol import ClassScores
from gan_core.evaluation.report.most_realistic import convincing
from gan_core.evaluation.report.pictures import Picture, pick, strip
from gan_core.evaluation.scores import MEANINGS, score_name
from gan_core.export import Conditions, draw_latents

SAMPLES = 32
COLUMNS = 8
EXTREMES = 8
REALISM_NEIGHBOUR = 3
CLASSES = 12
PER_CLASS = 5
SUSPECTS = 6
NEIGHBOURS = 4
PAIRS = 21
JOURNEYS = 5
STEPS = 9


@dataclass(frozen=True)
class ClassRow:
    """Generated images of one class.

    Attributes:
        name: of the class.
        share, real_share: of the generated and of the real images, 0 to 1.
        scores: its own scores, each by its name in words; empty if it has too few images.
        samples: the first of its generated images; None if there are none.
        real: the first of its real images; None if there are none.
    """

    name: str
    share: float
    real_share: float
    scores: list[str]
    samples: Picture | None
    real: Picture | None


@dataclass(frozen=True)
class Suspect:
    """A generated image and the known images that are nearest to it."""

    sample: Picture
    neighbours: list[Picture]


def samples(generated: ImagesWithFeatures) -> Picture:
    """The first generated images."""
    count = min(SAMPLES, generated.images.count)
    images = generated.images.images(np.arange(count))
    caption = "Generated: the first ones, not chosen by anyone."
    return strip(images, COLUMNS, f"{count} generated images, chosen by nothing but their order", caption)


def real_samples(real: Images) -> Picture:
    """Real images, spread evenly over the set: stored order may be by class."""
    positions = np.unique(np.linspace(0, real.count - 1, min(SAMPLES, real.count)).astype(np.int64))
    caption = "Real: from all over the set, not chosen by anyone."
    return strip(real.images(positions), COLUMNS, f"{len(positions)} real images", caption)


def pairs(generated: Images, inputs: Conditions, targets: Images) -> Picture:
    """The first generated images of a paired generator, each between its input and its target."""
    positions = np.arange(min(PAIRS, generated.count, targets.count))
    three = zip(inputs(positions), generated.images(positions), targets.images(positions), strict=True)
    alternative = f"{len(positions)} generated images, each between its input and its target"
    caption = "Input, generated image, target: the first of the reference, not chosen by anyone."
    return strip((image for triple in three for image in triple), 9, alternative, caption)


def extremes(
    real: ImagesWithFeatures, generated: ImagesWithFeatures, found: Classes | None
) -> tuple[list[Picture], list[Picture]]:
    """The most and the least realistic generated images; none if there are too few to tell.

    Images that only seem realistic are not among the most realistic: see `convincing`.
    """
    if min(len(real.features.features), len(generated.features.features)) <= REALISM_NEIGHBOUR:
        return [], []
    figures = realism(real.features.features, generated.features.features, REALISM_NEIGHBOUR)
    order = np.argsort(-figures, kind="stable")
    count = min(EXTREMES, len(order) // 2)

    def shown(positions: NDArray[np.int64], what: str) -> list[Picture]:
        captions = [f"{figures[position]:.2f}" for position in positions]
        return pick(generated.images.images(positions), captions, what) if len(positions) else []

    return (
        shown(convincing(real, generated, found, figures, count), "Generated image of high realism"),
        shown(order[::-1][:count], "Generated image of low realism"),
    )


def classes(
    scores: Sequence[ClassScores], found: Classes, real: Images, generated: Images, extractor: str
) -> list[ClassRow]:
    """A row for each of the first classes; `extractor` named the scores."""

    def first(images: Images, labels: NDArray[np.integer], label: int, what: str) -> Picture | None:
        positions = np.flatnonzero(labels == label)[:PER_CLASS]
        return strip(images.images(positions), PER_CLASS, what) if len(positions) else None

    rows = []
    for label, entry in enumerate(scores[:CLASSES]):
        shown = [
            f"{meaning.title} {entry.scores[name]:.3g}"
            for metric, meaning in MEANINGS.items()
            if (name := score_name(metric, extractor)) in entry.scores
        ]
        rows.append(
            ClassRow(
                entry.name,
                entry.generated_share,
                entry.real_share,
                shown,
                first(generated, found.generated, label, f"Generated images of the class {entry.name}"),
                first(real, found.real, label, f"Real images of the class {entry.name}"),
            )
        )
    return rows


def suspects(known: ImagesWithFeatures, generated: ImagesWithFeatures, what: str) -> list[Suspect]:
    """The generated images that are nearest to a known one, with their nearest; `what` calls the known images."""
    count = min(NEIGHBOURS, len(known.features.features))
    positions, distances = nearest(generated.features.features, known.features.features, count)
    rows = []
    for position in np.argsort(distances[:, 0], kind="stable")[:SUSPECTS]:
        sample = pick(generated.images.images(np.array([position])), ["generated"], "Suspect")
        captions = [f"{distance:.2f}" for distance in distances[position]]
        rows.append(
            Suspect(sample[0], pick(known.images.images(positions[position]), captions, f"Nearest {what}, distance"))
        )
    return rows


def moments(samples: Mapping[int, NDArray[np.uint8]]) -> list[tuple[str, Picture]]:
    """A row of samples for each moment of a training, by images seen."""
    return [
        (f"{seen:,}", strip(images, len(images), f"Samples after {seen:,} real images"))
        for seen, images in samples.items()
    ]


def journeys(generated: GeneratedImages, seed: int) -> Picture:
    """Walks between two latents along the sphere on which latents lie: a smooth walk is no list of learned images.

    A walk keeps to one class, or to one input image.

    slerp(a, b; t) = (sin((1 − t)Ω)·a + sin(tΩ)·b) / sin Ω, with Ω the angle between a and b.
    Reference: White 2016, arXiv 1609.04468, section 2.1.
    """
    ends = draw_latents(2 * JOURNEYS, generated.latent_size, seed)
    walks = []
    for a, b in zip(ends[::2], ends[1::2], strict=True):
        cosine = np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1)
        angle = max(float(np.arccos(cosine)), 1e-6)
        t = np.linspace(0, 1, STEPS)[:, None]
        walks.append((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))
    latents = np.concatenate(walks).astype(np.float32)
    images = generated.draw(latents, np.arange(JOURNEYS).repeat(STEPS))
    return strip(images, STEPS, f"{JOURNEYS} rows in each of which one generated image turns into another")
