"""Warnings for readers of the scores."""

from __future__ import annotations

from collections.abc import Mapping

FEWEST_TO_TRUST = 2048
RECOMMENDED = 10_000
LOW_DIVERSITY = 0.5
HIGH_TRAIN_PREFERENCE = 0.6
STANDARD_ERRORS = 3.0
FEW_SHARED = 0.01


def score_warnings(
    real_count: int,
    generated_count: int,
    dimensions: int,
    scores: Mapping[str, float],
    *,
    frechet_error: float,
    shared: float,
    training_share: float,
    unknown_training: bool,
    collapsed: bool,
) -> list[str]:
    """Returns the warnings that a reader of the scores must know, as sentences.

    Args:
        real_count: number of real images; 0 if unknown.
        generated_count: number of generated images for each sampling seed.
        dimensions: length of a feature vector.
        scores: the scores, by metric.
        frechet_error: standard error of the Fréchet distance; infinite if unknown.
        shared: share of the generated images that are also among the real ones, 0 to 1.
        training_share: share of the training images that were searched for copies; 1 if the training images are
            unknown.
        unknown_training: whether memorisation was requested but the training images are unknown.
        collapsed: whether the generator had collapsed when it was exported.
    """
    warnings = []
    if shared > FEW_SHARED:
        same = "All" if shared == 1 else f"{shared:.1%}"
        warnings.append(
            f"{same} of the generated images are also among the real images: their features are identical. The scores "
            f"compare these images with themselves and say nothing about a generator."
        )
    for kind, count in (("real", real_count), ("generated", generated_count)):
        if 0 < count < FEWEST_TO_TRUST:
            warnings.append(
                f"There are only {count} {kind} images: below {FEWEST_TO_TRUST} the Fréchet distance is markedly "
                f"biased, so compare it only with one made of as many; {RECOMMENDED:,} are recommended."
            )
        if 0 < count <= dimensions:
            warnings.append(
                f"{count} {kind} images cannot fill {dimensions} feature dimensions: the covariance is singular."
            )
    if real_count == 0:
        warnings.append(
            "The statistics file does not say of how many real images, by which extractor, and, unless its name does, "
            "with which resize it was made."
        )
    if unknown_training:
        warnings.append(
            "Memorisation was not measured: it needs a prepared data set whose training images are not the reference."
        )
    if collapsed:
        warnings.append("The generator had collapsed: its samples' diversity was below its train.collapse_diversity.")
    if scores.get("diversity", 1.0) < LOW_DIVERSITY:
        warnings.append(
            f"The generated images vary only {scores['diversity']:.0%} as much as the real ones: "
            f"the generator may have collapsed."
        )
    if scores.get("train_gap", 0.0) > STANDARD_ERRORS * frechet_error:
        warnings.append(
            f"The Fréchet distance to training images is by {scores['train_gap']:.3g} smaller than to as many unseen "
            f"ones, more than {STANDARD_ERRORS:g} standard errors: the generator may have memorised training images."
        )
    # Copies of training images that were not searched prefer neither side, so they dilute the preference.
    if scores.get("train_preference", 0.5) > 0.5 + (HIGH_TRAIN_PREFERENCE - 0.5) * training_share:
        warnings.append(
            f"{scores['train_preference']:.0%} of the generated images are nearer to a training image than to an "
            f"unseen one, where half are expected: the generator may have memorised training images."
        )
    if "authenticity" in scores and training_share < 1:
        warnings.append(
            f"Copies were looked for among {training_share:.0%} of the training images: authenticity, train_preference "
            f"and the nearest neighbours do not see copies of the others."
        )
    return warnings
