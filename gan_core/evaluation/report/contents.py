"""Collects what the report shows besides the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gan_core.evaluation.champion import Comparison
from gan_core.evaluation.extractors.features import Extractor
from gan_core.evaluation.feature_extraction import ExtractedFeatures
from gan_core.evaluation.images import GeneratedImages, ImagesWithFeatures
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.report import gallery
from gan_core.evaluation.report.champion_comparison import ChampionSection, champion_section
from gan_core.evaluation.report.clips import ClipRow, clip_rows
from gan_core.evaluation.report.curves import Chart
from gan_core.evaluation.report.gallery import ClassRow, NearestNeighbours
from gan_core.evaluation.report.pictures import Picture, Pictures
from gan_core.evaluation.report.text_rows import TextRows, text_rows
from gan_core.generator import GeneratorMetadata
from gan_core.training.course import CourseRecord

_DIGEST_CHARACTERS = len("sha256-") + 12  # enough to tell digests apart in a sentence


@dataclass(frozen=True)
class ReportContents:
    """What the report shows besides the scores. The page leaves out empty parts.

    Attributes:
        subtitle: names of the generated and of the real images.
        samples: grid of generated images; for a paired generator, with their inputs and targets.
        real_samples: grid of real images; None if there are none, or if a paired generator's grid includes them.
        most_realistic, least_realistic: generated images with the highest and the lowest realism.
        classes: generated and real images by class.
        classes_assigned_by: what determines an image's class: `labels` or `extractor`.
        nearest_neighbours: generated images next to the nearest known images.
        known_kind: what the known images are, such as "training image" or "real clip".
        item: the codec's word for an example.
        interpolations: latent interpolations; None if images are given instead of a generator.
        champion: comparison with the champion; None if it was not requested.
        clips: sounds to play: rows of generated clips, real ones, and the nearest training clips; empty without sound.
        texts: generated texts by class, each with the nearest training text; empty without text.
        charts: curves of the training.
        training_samples: samples of the same latents during the training, each with the number of images seen.
        training: a sentence on the training's data, end, duration and machine; empty if unknown.
        lineage: origin of the generated images, by title.
        parameters: parameters of the generator's training.
    """

    subtitle: str
    samples: Picture
    real_samples: Picture | None
    most_realistic: list[Picture]
    least_realistic: list[Picture]
    classes: list[ClassRow]
    classes_assigned_by: str
    nearest_neighbours: list[NearestNeighbours]
    known_kind: str
    item: str
    interpolations: Picture | None
    champion: ChampionSection | None
    clips: list[ClipRow]
    texts: list[TextRows]
    charts: Sequence[Chart]
    training_samples: list[tuple[str, Picture]]
    training: str
    lineage: Mapping[str, str]
    parameters: Mapping[str, object]


def collect_contents(
    extractor: Extractor,
    extracted: ExtractedFeatures,
    evaluation: Evaluation,
    charts: Sequence[Chart] = (),
    *,
    comparison: Comparison | None = None,
    seed: int = 0,
) -> ReportContents:
    """Selects and draws the report's pictures.

    Args:
        extractor: the extractor of the features.
        extracted: the features of both sides.
        evaluation: the record of the evaluation.
        charts: curves of the training.
        comparison: the champion's side; None if it was not requested.
        seed: seed of the latents that are interpolated.

    >>> contents = collect_contents(extractor, features, evaluation)
    >>> contents.real_samples.alt_text
    '32 real images'
    """
    sides, generated, generator = extracted.sides, extracted.generated.first, extracted.generated.generator
    classes = extracted.classes(extractor)
    course = CourseRecord.read(sides.generated_path) if generator else None
    real = ImagesWithFeatures(sides.real.images, extracted.real) if sides.real else None
    training = (
        ImagesWithFeatures(sides.training.images, extracted.training) if sides.training and extracted.training else None
    )
    codec, item = sides.codec, sides.item
    known, known_kind = (training, f"training {item}") if training else (real, f"real {item}")
    generated_pictures = Pictures(generated.images, codec, item)
    real_pictures = Pictures(real.images, codec, item) if real else None
    best, worst = gallery.most_and_least_realistic(real, generated, classes, generated_pictures) if real else ([], [])
    paired = bool(generator and generator.metadata.paired)
    return ReportContents(
        subtitle=_subtitle(extracted, evaluation),
        samples=gallery.pairs(generated_pictures, sides.inputs, real_pictures)
        if paired and sides.inputs and real_pictures
        else gallery.samples(generated_pictures),
        real_samples=gallery.real_samples(real_pictures) if real_pictures and not paired else None,
        most_realistic=best,
        least_realistic=worst,
        classes=gallery.class_rows(evaluation.classes, classes, real_pictures, generated_pictures, extractor.name)
        if classes and real_pictures
        else [],
        classes_assigned_by=classes.assigned_by if classes else "",
        nearest_neighbours=gallery.nearest_neighbours(known, generated, known_kind, generated_pictures)
        if known
        else [],
        known_kind=known_kind,
        item=item,
        interpolations=gallery.interpolations(generated.images, generated_pictures, seed)
        if generator and isinstance(generated.images, GeneratedImages)
        else None,
        champion=champion_section(evaluation, generated_pictures, comparison) if comparison else None,
        clips=clip_rows(sides.codec, generated, known, known_kind) if sides.codec else [],
        texts=text_rows(sides.codec, generated, known, sides.classes) if sides.codec else [],
        charts=charts,
        training_samples=gallery.training_samples(course.moments, generated_pictures) if course else [],
        training=_training_sentence(course, generator.metadata, item) if course and generator else "",
        lineage=_lineage(generator.metadata, evaluation.tracking_run_id, item) if generator else {},
        parameters=generator.metadata.parameters if generator else {},
    )


def _subtitle(extracted: ExtractedFeatures, evaluation: Evaluation) -> str:
    """Names both sides by digest and source where they are known, because a path in a pod says nothing."""
    item = extracted.sides.item
    count = f"{extracted.real.count:,} " if extracted.real.count else ""
    kind = {"files": f"real {item}s", "statistics": f"real {item}s whose statistics are given"}.get(
        extracted.reference, f"{extracted.reference.replace('_', '-')} {item}s"
    )
    digest, data = evaluation.generator_digest, extracted.sides.dataset
    generated = f"Generator {digest[:_DIGEST_CHARACTERS]}" if digest else str(extracted.sides.generated_path)
    real = (
        f"{data.manifest.source} (data {data.manifest.digest[:_DIGEST_CHARACTERS]})"
        if data
        else extracted.sides.real_path
    )
    return f"{generated} compared with {count}{kind} of {real}"


def _training_sentence(course: CourseRecord, metadata: GeneratorMetadata, item: str) -> str:
    hours, seconds = divmod(round(course.seconds), 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    duration = " ".join(f"{count} {unit}" for count, unit in parts if count) or "less than a second"
    return (
        f"Trained on {metadata.dataset_source}: {metadata.images_seen:,} {item}s seen; finished {course.finished} "
        f"after {duration} on {course.machine}."
    )


def _lineage(metadata: GeneratorMetadata, run_id: str | None, item: str) -> dict[str, str]:
    rows = {
        f"{item}s seen": f"{metadata.images_seen:,}",
        "data": metadata.dataset_source,
        "data digest": metadata.dataset_digest,
        "tracking run": run_id or "none",
    }
    return rows | metadata.versions
