"""Scores extracted features and returns the record of the evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from gan_core.config import EvaluateConfig
from gan_core.evaluation.classes import score_classes
from gan_core.evaluation.codec_floor import codec_floor
from gan_core.evaluation.confidence import bootstrap_distances, distance_interval, normal_interval
from gan_core.evaluation.extractors.features import FEATURES_KEPT, Extractor, FeatureSet
from gan_core.evaluation.feature_extraction import ExtractedFeatures
from gan_core.evaluation.metrics.kernel import kernel_standard_error
from gan_core.evaluation.protocol import Evaluation, Interval, Protocol
from gan_core.evaluation.score_meanings import MEANINGS, score_name
from gan_core.evaluation.score_warnings import score_warnings
from gan_core.evaluation.scores import score
from gan_core.evaluation.shared_images import shared_images
from gan_core.evaluation.text_comparison import NOT_COMPARED, compare_texts

Value = TypeVar("Value")


def evaluate(config: EvaluateConfig, extractor: Extractor, extracted: ExtractedFeatures) -> Evaluation:
    """Scores each draw and combines the scores into the record of the evaluation.

    Raises:
        InvalidInput: there are too few images for a score.

    >>> evaluation = evaluate(evaluate_config, extractor, features)
    >>> list(evaluation.scores)
    ['fd_random', 'diversity_random']
    """
    real, training = extracted.real, extracted.training
    draws = [drawn.features for drawn in extracted.generated.draws]
    count = draws[0].count
    kid_subset_size = min(config.kid_subset_size, *(len(images.features) for images in (real, *draws)))
    scores_of_draws = [
        score(
            real,
            drawn,
            training,
            extractor,
            metrics=config.metrics,
            kid_subsets=config.kid_subsets,
            kid_subset_size=kid_subset_size,
            seed=config.seed,
        )
        | condition_scores
        for drawn, condition_scores in zip(draws, extracted.generated.condition_scores, strict=True)
    ]
    by_metric = {
        metric: [scores[metric] for scores in scores_of_draws] for metric in MEANINGS if metric in scores_of_draws[0]
    }
    means = {metric: float(np.mean(values)) for metric, values in by_metric.items()}
    spread = {metric: _standard_deviation(values) for metric, values in by_metric.items()}
    frechet_error, errors, intervals = _uncertainty(config, means, real, draws[0])
    classes = extracted.classes(extractor)
    dataset, generator = extracted.sides.dataset, extracted.generated.generator
    codec = extracted.sides.codec
    metadata = generator.metadata if generator else None
    texts = compare_texts(config, extracted, codec.symbols) if codec and codec.symbols else None

    def named(values: dict[str, Value]) -> dict[str, Value]:
        return {score_name(metric, extractor.name): value for metric, value in values.items()}

    return Evaluation(
        format=1,
        scores=named(means),
        spread=named(spread),
        standard_errors=named(errors),
        intervals=named(intervals),
        classes=tuple(score_classes(classes, real, draws[0], extractor)) if classes else (),
        extractor_accuracy=extractor.accuracy,
        warnings=(
            *(dataset.manifest.warnings() if dataset else ()),
            *score_warnings(
                real.count,
                count,
                extractor.size,
                means,
                frechet_error=frechet_error,
                shared=shared_images(real, draws[0]),
                training_share=len(training.features) / training.count if training else 1.0,
                unknown_training="memorisation" in config.metrics and training is None,
                collapsed=metadata is not None and metadata.collapsed,
                item=extracted.sides.item,
            ),
            *((NOT_COMPARED,) if codec and codec.symbols and texts is None else ()),
        ),
        protocol=Protocol(
            extractor=extractor.name,
            extractor_digest=extractor.digest,
            resize=extractor.resize,
            reference=extracted.reference,
            reference_digest=extracted.reference_digest,
            reference_count=real.count,
            samples=count,
            sampling_seeds=extracted.generated.seeds,
            kid_subsets=config.kid_subsets,
            kid_subset_size=kid_subset_size,
            features_kept=FEATURES_KEPT,
        ),
        images_seen=metadata.images_seen if metadata else 0,
        dataset_digest=metadata.dataset_digest if metadata else "",
        tracking_run_id=metadata.tracking_run_id if metadata else None,
        generator_digest=generator.digest if generator else None,
        codec_floor=codec_floor(config, codec, extractor, extracted) if codec and codec.lossy else (),
        texts=texts,
    )


def _uncertainty(
    config: EvaluateConfig, means: dict[str, float], real: FeatureSet, generated: FeatureSet
) -> tuple[float, dict[str, float], dict[str, Interval]]:
    """Returns the Fréchet distance's standard error, and the standard errors and intervals over the images by metric.

    The first is infinite if neither the Fréchet distance nor the training gap was computed. The others contain only
    distances that were computed.
    """
    frechet_error = math.inf
    errors, intervals = {}, {}
    if "fd" in means or "train_gap" in means:
        replicates = bootstrap_distances(real, generated, config.bootstrap_replicates, config.seed)
        frechet_error = float(np.std(replicates, ddof=1))
        if "fd" in means:
            errors["fd"] = frechet_error
            intervals["fd"] = distance_interval(means["fd"], replicates)
    if "kid" in means:
        errors["kid"] = kernel_standard_error(real.features, generated.features)
        intervals["kid"] = normal_interval(means["kid"], errors["kid"])
    return frechet_error, errors, {metric: Interval(low=low, high=high) for metric, (low, high) in intervals.items()}


def _standard_deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
