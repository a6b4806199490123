"""The gate: checks a generator's evaluation and decides, without side effects, whether it becomes the champion."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, NamedTuple

from gan_core.config import RegisterConfig
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.record_checks import find_faults, has_standard_error
from gan_core.evaluation.score_meanings import score_name
from gan_core.export import generator_digest, read_metadata

Outcome = Literal["champion", "challenger", "refused"]


class Decision(NamedTuple):
    """What a generator becomes, and the reason as a sentence."""

    outcome: Outcome
    reason: str


def with_score(config: RegisterConfig, evaluation: Evaluation) -> RegisterConfig:
    """Replaces `score: auto` by the Fréchet distance of the evaluation, or by its kernel distance if it lacks that."""
    if config.score != "auto":
        return config
    names = (score_name(metric, evaluation.protocol.extractor) for metric in ("fd", "kid"))
    found = next((name for name in names if name in evaluation.scores), config.score)
    return config.model_copy(update={"score": found})


def require_scored(config: RegisterConfig, model: Path, evaluation: Evaluation) -> None:
    """Checks that an evaluation belongs to exactly the generator in the folder `model`, and has no impossible values.

    Raises:
        InvalidInput: it belongs to another generator, or a value is missing or impossible.
    """
    if evaluation.generator_digest is None:
        raise InvalidInput(
            "The scores must name their generator by its digest, as components.evaluate writes them: evaluate "
            f"{model} again. Received: scores without generator_digest"
        )
    generator, digest = read_metadata(model), generator_digest(model)
    for what, scored, actual in (
        ("content", evaluation.generator_digest, digest),
        # If MLflow was unavailable during the training, only the evaluation knows the run.
        ("run", evaluation.tracking_run_id, generator.tracking_run_id or evaluation.tracking_run_id),
        ("number of examples seen", evaluation.images_seen, generator.images_seen),
        ("data", evaluation.dataset_digest, generator.dataset_digest),
    ):
        if scored != actual:
            raise InvalidInput(
                "The scores must belong to the generator in its current state: evaluate "
                f"{model} again. Received: scores for the {what} {scored}, a generator with the {what} {actual}"
            )
    if faults := find_faults(evaluation):
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise InvalidInput(
            f"The values of an evaluation must be finite and within their limits. Received: {faults[0]}{more}"
        )
    if config.score not in evaluation.scores:
        raise InvalidInput(
            "The parameter 'register.score' must name a score of the evaluation. "
            f"Received: register.score={config.score!r}, scores={evaluation.scores}"
        )
    if has_standard_error(config.score) and config.score not in evaluation.standard_errors:
        raise InvalidInput(
            "The evaluation must have the standard error of the score that decides. "
            f"Received: register.score={config.score!r}, standard_errors={evaluation.standard_errors}"
        )


def decide(
    config: RegisterConfig, candidate: Evaluation, collapsed: bool, champion: Evaluation | None, version: str | None
) -> Decision:
    """Compares a candidate with the champion, version `version` of the model (None if there is no champion).

    With scores s (lower is better) and their uncertainties σ, a candidate replaces the champion if s_champion − s >
    max(minimum_improvement · s_champion, spread_multiplier · √(σ² + σ_champion²)). Otherwise it is a challenger. A
    generator that collapsed is refused. So are scores under another protocol, because they cannot be compared.
    """
    name = config.score
    if collapsed:
        return Decision("refused", "The generator has collapsed: nearly all of its samples are the same.")
    if version is None:
        return Decision("champion", "There was no champion.")
    if champion is None:
        return Decision("refused", f"The champion, version {version}, has no record of its evaluation.")
    if differences := candidate.protocol.differences(champion.protocol):
        return Decision(
            "refused",
            f"Its {name} and that of the champion, version {version}, have different protocols: "
            f"{'; '.join(differences)}. If both generators are for the same data, evaluate them together "
            "(python -m components.evaluate … --champion params.yaml). Otherwise give this model another name "
            "(register.model_name).",
        )
    if name not in champion.scores:
        return Decision("refused", f"The champion, version {version}, was not evaluated with {name}.")
    improvement = champion.scores[name] - candidate.scores[name]
    required = config.minimum_improvement * champion.scores[name]
    uncertainties = _uncertainty(candidate, name), _uncertainty(champion, name)
    noise = config.spread_multiplier * math.hypot(*uncertainties)
    figures = (
        f"{name} {candidate.scores[name]:.4g} ± {uncertainties[0]:.2g}, compared with "
        f"{champion.scores[name]:.4g} ± {uncertainties[1]:.2g} of version {version}"
    )
    rule = (
        f"{config.minimum_improvement:.3g} of the champion's score ({required:.3g}) and "
        f"{config.spread_multiplier:.3g} combined uncertainties ({noise:.3g})"
    )
    if improvement > max(required, noise):
        return Decision("champion", f"{figures}: better by {improvement:.3g}, which is more than {rule}.")
    if improvement > 0:
        return Decision("challenger", f"{figures}: better by {improvement:.3g}, which is not more than {rule}.")
    return Decision("challenger", f"{figures}: not better.")


def _uncertainty(evaluation: Evaluation, name: str) -> float:
    """Returns √(spread² + standard error²), the uncertainty due to the sampling seeds and the images."""
    return math.hypot(evaluation.spread[name], evaluation.standard_errors.get(name, 0.0))
