"""Checks the requirements of an evaluation on images and parameters, before anything is trained or drawn."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from gan_core.codecs import codec_of
from gan_core.codecs.codec import Codec
from gan_core.codecs.image import ImageCodec
from gan_core.config import EvaluateConfig, RegisterConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.clips import require_clips
from gan_core.evaluation.extractors.labels import has_labels, require_labels
from gan_core.evaluation.score_meanings import score_name

FEWEST_IMAGES = 2
"""Minimum number of real and of generated images: a covariance needs two."""
FEWEST_FOR_NEIGHBOURS = 6
"""Minimum number of real and of generated images for `prdc`: density and coverage need a fifth neighbour."""
FEWEST_TO_EXTRAPOLATE = 200
"""Minimum number of generated images for the extrapolated Fréchet distance; with fewer it is not computed."""
FEWEST_SAMPLES_WHILE_TRAINING = 4
"""Minimum number of generated images: precision and recall need a third neighbour."""
_NAMES = {
    "held_out": "held-out examples",
    "train": "training examples",
    "generated": "generated examples",
    "files": "examples",
}


def check_sections(evaluate: EvaluateConfig, register: RegisterConfig) -> None:
    """Checks that the evaluation computes the score that decides at registration.

    Raises:
        InvalidInput: it computes other scores.
    """
    if evaluate.automatic and register.score != "auto":
        return  # the data will decide
    computed = [score_name(metric, evaluate.extractor) for metric in _distances(evaluate)]
    if register.score not in (*computed, "target_l1") and not (computed and register.score == "auto"):
        raise InvalidInput(
            "The parameter 'register.score' must name a distance that the evaluation computes, one of "
            f"{[*computed, 'target_l1']}; these follow from evaluate.extractor={evaluate.extractor!r}, "
            f"evaluate.metrics={list(evaluate.metrics)} and evaluate.samples={evaluate.samples}. "
            f"Received: register.score={register.score!r}"
        )


def with_extractor(evaluate: EvaluateConfig, dataset: PreparedDataset | None) -> EvaluateConfig:
    """Replaces `extractor: auto`, by the classifier if it can be trained on the data, or by an untrained network.

    Args:
        evaluate: the section.
        dataset: the prepared data; None if there are only files of images.
    """
    if not evaluate.automatic:
        return evaluate
    _, untrained, *_ = (codec_of(dataset.manifest) if dataset else ImageCodec).extractors
    return evaluate.model_copy(update={"extractor": "classifier" if has_labels(dataset) else untrained})


def check_data(evaluate: EvaluateConfig, register: RegisterConfig, dataset: PreparedDataset) -> None:
    """Checks that the prepared data set has what evaluation and registration need.

    Raises:
        InvalidInput: labels, pairs or images are missing, or the evaluation does not compute the score that decides.
    """
    evaluate = with_extractor(evaluate, dataset)
    check_sections(evaluate, register)
    split = dataset.split(evaluate.reference)
    require_extractor(evaluate.extractor, codec_of(dataset.manifest))
    if evaluate.extractor == "classifier":
        require_labels(dataset)
    if evaluate.extractor == "vggish":
        require_clips(dataset)
    if register.score == "target_l1" and not split.paired:
        raise InvalidInput(
            "The score target_l1 requires paired images: set prepare.image.pairs and train.network=unet, or choose "
            f"another register.score. Received: register.score='target_l1', unpaired images in {dataset.folder}"
        )
    require_images(split.count, evaluate.reference, dataset.folder, evaluate.metrics)
    require_images(dataset.split("train").count, "train", dataset.folder)
    require_images(evaluate.samples, "generated", "evaluate.samples", evaluate.metrics)


def require_extractor(extractor: str, codec: Codec) -> None:
    """Checks that the extractor's features mean something for the data.

    Raises:
        InvalidInput: they do not.
    """
    if extractor not in codec.extractors:
        raise InvalidInput(
            f"The parameter 'evaluate.extractor' must be one of {', '.join(codec.extractors)} for data of the modality "
            f"{codec.modality}. Received: extractor={extractor!r}"
        )


def require_images(count: int, kind: str, place: Path | str, metrics: Collection[str] = ()) -> None:
    """Checks that there are enough images of a kind for `metrics`.

    Args:
        count: number of images.
        kind: the split of a prepared data set, `generated` for a generator's images, or `files`.
        place: where the images are.
        metrics: the groups of scores that are computed from them.

    Raises:
        InvalidInput: there are too few.
    """
    neighbours = "prdc" in metrics
    fewest = FEWEST_FOR_NEIGHBOURS if neighbours else FEWEST_IMAGES
    if count >= fewest:
        return
    remedies = {"held_out": "raise prepare.held_out_fraction or add examples", "generated": "raise evaluate.samples"}
    without = f", or remove prdc from evaluate.metrics; then {FEWEST_IMAGES} suffice" if neighbours else ""
    raise InvalidInput(
        f"{'The metrics prdc require' if neighbours else 'An evaluation requires'} at least {fewest} "
        f"{_NAMES.get(kind, kind)}: {remedies.get(kind, 'add examples')}{without}. "
        f"Received: {count} in {place}"
    )


def require_images_to_score_while_training(dataset: PreparedDataset, samples: int) -> None:
    """Checks that there are enough held-out and generated images for the scores that are computed during training.

    Raises:
        InvalidInput: there are too few.
    """
    if samples < FEWEST_SAMPLES_WHILE_TRAINING:
        raise InvalidInput(
            f"The parameter 'train.score_samples' must be at least {FEWEST_SAMPLES_WHILE_TRAINING}, because "
            "precision and recall use an example's third neighbour; or set train.score_every_images to 0. "
            f"Received: score_samples={samples}"
        )
    count = dataset.split("held_out").count
    if count < FEWEST_FOR_NEIGHBOURS:
        raise InvalidInput(
            f"Scoring during the training requires at least {FEWEST_FOR_NEIGHBOURS} held-out examples: raise "
            "prepare.held_out_fraction, add examples, or set train.score_every_images to 0. "
            f"Received: {count} in {dataset.folder}"
        )


def _distances(config: EvaluateConfig) -> list[str]:
    """Returns the metrics that can decide at registration."""
    distances = []
    if "fid" in config.metrics:
        distances.append("fd")
        if config.samples >= FEWEST_TO_EXTRAPOLATE:
            distances.append("fd_infinity")
    if "kid" in config.metrics:
        distances.append("kid")
    return distances
