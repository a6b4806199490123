"""Names of all metrics that a training and an evaluation report.

A name is `<section>/<metric>`; MLflow shows each section separately. The training's history, MLflow, the report, the
summary and dvc.yaml's plots use these names. The sections:

- `losses`: the terms of the two networks' losses
- `logits`: the discriminator's logits, and metrics derived from them
- `norms`: Euclidean norms of gradients and weights
- `guards`: signs of a failing training, and values that the training adapts to prevent a failure
- `scores`: scores of the generator; `scores/quick_…` are computed during training, from fewer examples and one sampling
  seed
- `system`: speed and use of the machine; MLflow reserves this section and shows it on a separate tab

The number of examples seen, `images_seen`, is the step in MLflow and a column of the history.
"""

from __future__ import annotations

GENERATOR_LOSS = "losses/generator"
DISCRIMINATOR_LOSS = "losses/discriminator"
RECONSTRUCTION = "losses/reconstruction"
PENALTY = "losses/penalty"
SELF_SUPERVISION = "losses/self_supervision"
REAL_LOGITS = "logits/real"
FAKE_LOGITS = "logits/fake"
REAL_SIGN = "logits/real_sign"
DISCRIMINATOR_ACCURACY = "logits/discriminator_accuracy"
GENERATOR_GRADIENT_NORM = "norms/generator_gradient"
DISCRIMINATOR_GRADIENT_NORM = "norms/discriminator_gradient"
GENERATOR_WEIGHT_NORM = "norms/generator_weights"
DISCRIMINATOR_WEIGHT_NORM = "norms/discriminator_weights"
DIVERSITY = "guards/diversity"
COLLAPSED = "guards/collapsed"
DISCRIMINATOR_WINNING = "guards/discriminator_winning"
AUGMENT_PROBABILITY = "guards/augment_probability"
LEARNING_RATE_SCALE = "guards/learning_rate_scale"
GENERATOR_LEARNING_RATE = "guards/generator_learning_rate"
DISCRIMINATOR_LEARNING_RATE = "guards/discriminator_learning_rate"
EXAMPLES_PER_SECOND = "system/examples_per_second"
QUICK_SCORES = "scores/quick_"

_OLD_NAMES = {
    "generator_loss": GENERATOR_LOSS,
    "discriminator_loss": DISCRIMINATOR_LOSS,
    "reconstruction": RECONSTRUCTION,
    "penalty": PENALTY,
    "real_logits": REAL_LOGITS,
    "fake_logits": FAKE_LOGITS,
    "real_sign": REAL_SIGN,
    "discriminator_accuracy": DISCRIMINATOR_ACCURACY,
    "generator_gradient_norm": GENERATOR_GRADIENT_NORM,
    "discriminator_gradient_norm": DISCRIMINATOR_GRADIENT_NORM,
    "generator_weight_norm": GENERATOR_WEIGHT_NORM,
    "discriminator_weight_norm": DISCRIMINATOR_WEIGHT_NORM,
    "diversity": DIVERSITY,
    "collapsed": COLLAPSED,
    "discriminator_winning": DISCRIMINATOR_WINNING,
    "augment_probability": AUGMENT_PROBABILITY,
    "learning_rate_scale": LEARNING_RATE_SCALE,
    "images_per_second": EXAMPLES_PER_SECOND,
    "extractor_accuracy": "scores/extractor_accuracy",
}
_OLD_QUICK_SCORES = ("fd_", "fid", "precision_", "recall_")


def score(place: str) -> str:
    """Returns the name of a score, such as `fid`, or of a value in the evaluation's record, such as `spread.fid`."""
    return f"scores/{place.removeprefix('scores.').replace('.', '/')}"


def quick_score(name: str) -> str:
    """Returns the name of a score that is computed during training."""
    return f"{QUICK_SCORES}{name}"


def current(name: str) -> str:
    """Returns the current name of a metric that an earlier version wrote; other names stay unchanged."""
    if name in _OLD_NAMES:
        return _OLD_NAMES[name]
    if name.startswith(("scores.", "spread.", "standard_errors.", "intervals.")):
        return score(name)
    return quick_score(name) if name.startswith(_OLD_QUICK_SCORES) else name
