"""Names, explains and rounds scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Meaning:
    """Explanation of a score for readers who do not know it.

    Attributes:
        title: its name in words.
        better: which values are good.
        sentence: what it measures; `{item}` stands for the codec's word.
    """

    title: str
    better: Literal["lower", "higher", "near 0", "near 0.5", "near 1"]
    sentence: str


MEANINGS: dict[str, Meaning] = {
    "target_ssim": Meaning(
        "Structural similarity",
        "higher",
        "Similarity to the target in local brightness, contrast and structure; 1 for identical {item}s.",
    ),
    "target_psnr": Meaning(
        "Peak signal-to-noise ratio",
        "higher",
        "255² relative to the mean squared difference from the target, in decibels; averaged over the {item}s.",
    ),
    "target_l1": Meaning(
        "Distance to the target",
        "lower",
        "Mean absolute difference from the target, in grey levels from 0 to 255.",
    ),
    "fd": Meaning(
        "Fréchet distance",
        "lower",
        "Distance between the distributions of generated and real {item}s; measures quality and variety together.",
    ),
    "fd_infinity": Meaning(
        "Fréchet distance, extrapolated",
        "lower",
        "Fréchet distance extrapolated to infinitely many generated {item}s, which removes most of its bias.",
    ),
    "kid": Meaning(
        "Kernel distance",
        "lower",
        "Distance between the two distributions that is unbiased for any number of {item}s; it may be negative.",
    ),
    "precision": Meaning("Precision", "higher", "Share of generated {item}s that lie within the real distribution."),
    "recall": Meaning(
        "Recall",
        "higher",
        "Share of real {item}s that lie within the generated distribution: a sign of variety, not of quality. It is "
        "also high for {item}s that resemble no real one, so read it with precision and coverage.",
    ),
    "density": Meaning("Density", "near 1", "How densely generated {item}s cover the neighbourhoods of real {item}s."),
    "coverage": Meaning("Coverage", "higher", "Share of real {item}s with a generated {item} in their neighbourhood."),
    "diversity": Meaning(
        "Diversity", "near 1", "Spread of the generated {item}s relative to that of the real {item}s."
    ),
    "class_shift": Meaning(
        "Class shift", "lower", "Total variation distance between the class shares of generated and real {item}s."
    ),
    "class_agreement": Meaning(
        "Class agreement", "higher", "Share of generated {item}s that the classifier assigns to the requested class."
    ),
    "inception_score": Meaning(
        "Inception score",
        "higher",
        "How confidently each {item} is classified and how varied the classes are; ignores the real {item}s.",
    ),
    "authenticity": Meaning(
        "Authenticity", "higher", "Share of generated {item}s that are not close copies of a training {item}."
    ),
    "train_gap": Meaning(
        "Training gap",
        "near 0",
        "Fréchet distance to unseen {item}s minus that to equally many training {item}s; clearly positive values "
        "indicate memorisation.",
    ),
    "train_preference": Meaning(
        "Training preference",
        "near 0.5",
        "Share of generated {item}s that are nearer to a training {item} than to an unseen {item}.",
    ),
}
"""The scores by metric, in display order. The comparisons of paired data with the target come first."""
_FRECHET_NAMES = {"inception": "fid", "vggish": "fad"}


def score_name(metric: str, extractor: str) -> str:
    """Returns the score's name. Only the Fréchet distances on published networks' features have names of their own.

    The name of a distance to a target does not name an extractor, because the score compares pixels, not features.
    """
    if metric.startswith("target_"):
        return metric
    if extractor in _FRECHET_NAMES and metric in ("fd", "fd_infinity"):
        return metric.replace("fd", _FRECHET_NAMES[extractor])
    return f"{metric}_{extractor}"


def decimals(value: float, uncertainty: float | None) -> int:
    """Returns the number of decimals that show two digits of the uncertainty, or four of the value; at most 6."""
    smallest, digits = (uncertainty, 2) if uncertainty else (value, 4)
    if smallest == 0 or not math.isfinite(smallest):
        return 2
    return min(max(digits - 1 - math.floor(math.log10(abs(smallest))), 0), 6)


def shown(value: float, digits: int) -> str:
    """Formats the value with `digits` decimals; a value that rounds to 0 has no sign."""
    return f"{value:z.{digits}f}"
