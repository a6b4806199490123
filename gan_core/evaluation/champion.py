"""Evaluates the champion under the same protocol, for a side-by-side comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gan_core.config import EvaluateConfig
from gan_core.errors import InvalidInput
from gan_core.evaluation.evaluator import evaluate
from gan_core.evaluation.extractors.features import Counting, Extractor
from gan_core.evaluation.feature_extraction import ExtractedFeatures, draw_and_extract
from gan_core.evaluation.images import GeneratedImages
from gan_core.evaluation.parts import RunParts
from gan_core.evaluation.protocol import Evaluation
from gan_core.export import load_generator


@dataclass(frozen=True)
class Champion:
    """A generator to compare with.

    Attributes:
        name: follows "the champion, " in messages.
        folder: folder of the generator.
        recorded: the evaluation it was registered with; None if unknown.
    """

    name: str
    folder: Path
    recorded: Evaluation | None


@dataclass(frozen=True)
class Comparison:
    """The champion's side of a comparison.

    Attributes:
        name: the champion's name.
        evaluation: its scores under the protocol of the generator it is compared with; None if it cannot be evaluated.
        images: its images for the first sampling seed; None if it cannot be evaluated.
        remarks: sentences that a reader of the comparison must know about.
    """

    name: str
    evaluation: Evaluation | None
    images: GeneratedImages | None
    remarks: tuple[str, ...]


def compare(
    config: EvaluateConfig,
    extractor: Extractor,
    extracted: ExtractedFeatures,
    evaluation: Evaluation,
    *,
    champion: Champion,
    counting: Counting,
    run_parts: RunParts | None = None,
) -> Comparison:
    """Uses the champion's recorded scores if their protocol is the same; otherwise re-evaluates the champion.

    If the champion cannot be evaluated, this becomes a remark, not an error, because the new generator is not at fault.
    `run_parts` extracts its features elsewhere; None for this process.
    """
    remarks = []
    # If a set of images is evaluated, the champion draws the same number of images.
    config = config.model_copy(update={"samples": evaluation.protocol.samples})
    recorded = champion.recorded
    if recorded and (differences := evaluation.protocol.differences(recorded.protocol)):
        remarks.append(
            f"The champion, {champion.name}, was registered under another protocol: {'; '.join(differences)}. Its "
            f"recorded scores cannot be compared with these, so it was re-evaluated together with this generator."
        )
        recorded = None
    try:
        generator = load_generator(champion.folder)
        if recorded is None:
            generated = draw_and_extract(
                config,
                generator,
                extractor,
                counting,
                folder=champion.folder,
                description="champion",
                sides=extracted.sides,
                run_parts=run_parts,
            )
            recorded = evaluate(config, extractor, replace(extracted, generated=generated))
    except InvalidInput as error:
        remarks.append(f"The champion, {champion.name}, cannot be evaluated: {error}")
        return Comparison(champion.name, None, None, tuple(remarks))
    images = GeneratedImages(generator, config.samples, config.seed, extracted.sides.inputs, extracted.sides.codec)
    return Comparison(champion.name, recorded, images, tuple(remarks))
