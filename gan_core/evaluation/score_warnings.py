"""Warnings that a reader of an evaluation's scores must know about."""

from __future__ import annotations

from collections.abc import Mapping

FEWEST_TO_TRUST = 2048
RECOMMENDED = 10_000
LOW_DIVERSITY = 0.5
HIGH_TRAIN_PREFERENCE = 0.6
STANDARD_ERRORS = 3.0
FEW_SHARED = 0.01
RECALL_ABOVE_PRECISION = 0.5


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
    item: str,
) -> list[str]:
    """Returns the warnings as sentences.

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
        item: the codec's word for an example.
    """
    warnings = []
    if shared > FEW_SHARED:
        share = "All" if shared == 1 else f"{shared:.1%}"
        warnings.append(
            f"{share} of the generated {item}s are also among the real {item}s: their features are identical. The "
            f"scores compare these {item}s with themselves, so they do not measure a generator."
        )
    counts = {"real": real_count, "generated": generated_count}
    few = [f"{count} {kind}" for kind, count in counts.items() if 0 < count < FEWEST_TO_TRUST]
    if few:
        warnings.append(
            f"There are only {' and '.join(few)} {item}s. With fewer than {FEWEST_TO_TRUST} the Fréchet distance is "
            f"strongly biased: compare it only with distances of equally many {item}s, or use at least "
            f"{RECOMMENDED:,}."
        )
    for kind, count in counts.items():
        if 0 < count <= dimensions:
            warnings.append(
                f"The covariance of the {kind} {item}s is singular: there are {count} {item}s for {dimensions} feature "
                f"dimensions."
            )
    if real_count == 0:
        warnings.append(
            "The statistics file does not say how many real images it describes, nor which extractor and, unless its "
            "name says so, which resize mode made it."
        )
    if unknown_training:
        warnings.append(
            f"Memorisation was not measured, because it requires a prepared data set whose training {item}s are not "
            f"the reference."
        )
    if collapsed:
        warnings.append(
            "The generator had collapsed when its training ended: the diversity of its samples was below "
            "train.collapse_diversity."
        )
    if scores.get("diversity", 1.0) < LOW_DIVERSITY:
        warnings.append(
            f"The diversity of the generated {item}s is only {scores['diversity']:.0%} of that of the real {item}s: "
            f"the generator may have collapsed."
        )
    if scores.get("recall", 0.0) > scores.get("precision", 1.0) + RECALL_ABOVE_PRECISION:
        warnings.append(
            f"Recall is {scores['recall']:.2f} and precision only {scores['precision']:.2f}. {item.capitalize()}s that "
            f"resemble no real {item} but differ among themselves reach such a recall too, so it does not show variety "
            f"here; coverage does not have this weakness."
        )
    if scores.get("train_gap", 0.0) > STANDARD_ERRORS * frechet_error:
        warnings.append(
            f"The Fréchet distance to training {item}s is smaller by {scores['train_gap']:.3g} than that to equally "
            f"many unseen {item}s, more than {STANDARD_ERRORS:g} standard errors: the generator may have memorised "
            f"training {item}s."
        )
    # Copies of training items that were not searched are nearer to neither side on average, which lowers the
    # preference.
    if scores.get("train_preference", 0.5) > 0.5 + (HIGH_TRAIN_PREFERENCE - 0.5) * training_share:
        warnings.append(
            f"{scores['train_preference']:.0%} of the generated {item}s are nearer to a training {item} than to an "
            f"unseen {item}; 50% are expected. The generator may have memorised training {item}s."
        )
    if "authenticity" in scores and training_share < 1:
        warnings.append(
            f"Only {training_share:.0%} of the training {item}s were searched for copies: authenticity, "
            f"train_preference and the nearest neighbours cannot detect copies of the others."
        )
    return warnings
