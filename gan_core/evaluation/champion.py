"""The champion under the same protocol, for a comparison side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gan_core.config import EvaluateConfig
from gan_core.errors import InvalidInput
from gan_core.evaluation.evaluator import Measured, draw, evaluate
from gan_core.evaluation.features import Counting, Extractor
from gan_core.evaluation.images import GeneratedImages
from gan_core.evaluation.protocol import Evaluation
from gan_core.export import load_generator


@dataclass(frozen=True)
class Champion:
    """A generator to compare with.

    Attributes:
        name: of it, after "the champion, ".
        folder: where its generator is.
        recorded: the evaluation it was registered with; None if that is not known.
    """

    name: str
    folder: Path
    recorded: Evaluation | None


@dataclass(frozen=True)
class Comparison:
    """The champion's side.

    Attributes:
        name: of the champion.
        evaluation: under the protocol of the generator it is compared with; None if it cannot be had.
        images: its images under the first sampling seed; None if they cannot be had.
        remarks: sentences a reader of the comparison must know.
    """

    name: str
    evaluation: Evaluation | None
    images: GeneratedImages | None
    remarks: tuple[str, ...]


def compare(
    config: EvaluateConfig,
    extractor: Extractor,
    measured: Measured,
    evaluation: Evaluation,
    *,
    champion: Champion,
    counting: Counting,
) -> Comparison:
    """Takes the champion's recorded scores if they were made under the same protocol, or else scores it anew.

    What is wrong with the champion becomes a remark: it is no fault of the generator that is evaluated.
    """
    remarks = []
    # Beside a set of images it draws as many as there are.
    config = config.model_copy(update={"samples": evaluation.protocol.samples})
    recorded = champion.recorded
    if recorded and (differences := evaluation.protocol.differences(recorded.protocol)):
        remarks.append(
            f"The champion, {champion.name}, was registered under another protocol: {'; '.join(differences)}. "
            f"Its recorded scores do not compare with these, so it was scored anew."
        )
        recorded = None
    try:
        generator = load_generator(champion.folder)
        if recorded is None:
            drawn = draw(config, generator, extractor, counting, description="champion", subjects=measured.subjects)
            recorded = evaluate(config, extractor, replace(measured, generated=drawn))
    except InvalidInput as error:
        remarks.append(f"The champion, {champion.name}, cannot be scored: {error}")
        return Comparison(champion.name, None, None, tuple(remarks))
    images = GeneratedImages(generator, config.samples, config.seed, measured.subjects.inputs)
    return Comparison(champion.name, recorded, images, tuple(remarks))
