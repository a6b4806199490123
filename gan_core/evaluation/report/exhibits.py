"""What the report shows beside the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gan_core.evaluation.champion import Comparison
from gan_core.evaluation.extractors.features import Extractor
from gan_core.evaluation.feature_extraction import ExtractedFeatures
from gan_core.evaluation.images import GeneratedImages, ImagesWithFeatures
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report import gallery
from gan_core.evaluation.report.champion_comparison import Versus, versus
from gan_core.evaluation.report.curves import Chart
from gan_core.evaluation.report.gallery import ClassRow, Suspect
from gan_core.evaluation.report.pictures import Picture
from gan_core.export import GeneratorMetadata
from gan_core.training.course import CourseRecord


@dataclass(frozen=True)
class Exhibits:
    """An empty part is left out of the page.

    Attributes:
        subtitle: what was compared with what.
        samples: grid of generated images; of a paired generator with their inputs and targets.
        real_samples: grid of real images; None if there are none, or a paired generator's grid has them.
        best: generated images of the highest realism.
        worst: generated images of the lowest.
        classes: generated images by class.
        assigned_by: what tells an image's class: `labels` or `extractor`.
        suspects: generated images beside the nearest known ones.
        known: what the known images are called: "training image" or "real image".
        journeys: latent interpolation.
        versus: the champion side by side; None if it was not asked for.
        charts: the training's curves.
        moments: samples of the same latents by images seen, in words.
        training: a sentence on when, how long and on what it was trained; empty if that is not known.
        lineage: where the generated images come from, by label.
        parameters: of the generator's training.
    """

    subtitle: str
    samples: Picture
    real_samples: Picture | None
    best: list[Picture]
    worst: list[Picture]
    classes: list[ClassRow]
    assigned_by: str
    suspects: list[Suspect]
    known: str
    journeys: Picture | None
    versus: Versus | None
    charts: list[Chart]
    moments: list[tuple[str, Picture]]
    training: str
    lineage: Mapping[str, str]
    parameters: Mapping[str, object]


def collect(
    extractor: Extractor,
    extracted: ExtractedFeatures,
    evaluation: Evaluation,
    charts: list[Chart],
    *,
    comparison: Comparison | None,
    seed: int,
) -> Exhibits:
    """Chooses and draws.

    Args:
        extractor: whose features were measured.
        extracted: what was compared.
        evaluation: its record.
        charts: the training's curves.
        comparison: the champion's side; None if it was not asked for.
        seed: of the interpolation's ends.
    """
    sides, generated = extracted.sides, extracted.generated.first
    generator = extracted.generated.generator
    classes = extracted.classes(extractor)
    course = CourseRecord.read(sides.generated_path) if generator else None
    real = ImagesWithFeatures(sides.real.images, extracted.real) if sides.real else None
    paired = bool(generator and generator.metadata.paired)
    training = (
        ImagesWithFeatures(sides.training.images, extracted.training) if sides.training and extracted.training else None
    )
    nearest_to, known = (training, "training image") if training else (real, "real image")
    best, worst = gallery.extremes(real, generated, classes) if real else ([], [])
    count = f"{extracted.real.count:,} " if extracted.real.count else ""
    kind = {"files": "real images", "statistics": "images known by their statistics"}.get(
        extracted.reference, f"{extracted.reference.replace('_', '-')} images"
    )
    return Exhibits(
        subtitle=f"{sides.generated_path} against {count}{kind} of {sides.real_path}",
        samples=_samples(extracted),
        real_samples=gallery.real_samples(real.images) if real and not paired else None,
        best=best,
        worst=worst,
        classes=gallery.classes(evaluation.classes, classes, real.images, generated.images, extractor.name)
        if classes and real
        else [],
        assigned_by=classes.assigned_by if classes else "",
        suspects=gallery.suspects(nearest_to, generated, known) if nearest_to else [],
        known=known,
        journeys=gallery.journeys(generated.images, seed)
        if generator and isinstance(generated.images, GeneratedImages)
        else None,
        versus=versus(evaluation, generated.images, comparison) if comparison else None,
        charts=charts,
        moments=gallery.moments(course.moments) if course else [],
        training=_told(course, generator.metadata) if course and generator else "",
        lineage=_lineage(generator.metadata) if generator else {},
        parameters=generator.metadata.parameters if generator else {},
    )


def _samples(extracted: ExtractedFeatures) -> Picture:
    sides, generated, generator = extracted.sides, extracted.generated.first, extracted.generated.generator
    if generator and generator.metadata.paired and sides.inputs and sides.real:
        return gallery.pairs(generated.images, sides.inputs, sides.real.images)
    return gallery.samples(generated)


def _told(course: CourseRecord, metadata: GeneratorMetadata) -> str:
    hours, seconds = divmod(round(course.seconds), 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    duration = " ".join(f"{count} {unit}" for count, unit in parts if count) or "less than a second"
    return (
        f"Trained on {metadata.dataset_source}: {metadata.images_seen:,} images seen; finished {course.finished} after "
        f"{duration} on {course.machine}."
    )


def _lineage(metadata: GeneratorMetadata) -> dict[str, str]:
    rows = {
        "images seen": f"{metadata.images_seen:,}",
        "data": metadata.dataset_source,
        "data digest": metadata.dataset_digest,
        "tracking run": metadata.tracking_run_id or "none",
    }
    return rows | metadata.versions
