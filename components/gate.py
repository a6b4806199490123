"""Whether a generator becomes the champion: a pure decision about two evaluations."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from gan_core.config import RegisterConfig
from gan_core.evaluation.protocol import Evaluation

Outcome = Literal["champion", "challenger", "refused"]


class Decision(NamedTuple):
    """What a generator becomes, and the reason in a sentence."""

    outcome: Outcome
    reason: str


def decide(
    config: RegisterConfig, candidate: Evaluation, collapsed: bool, champion: Evaluation | None, version: str | None
) -> Decision:
    """Compares a candidate with the champion, which is version `version` of the model; None if there is no champion.

    With scores s (lower is better) and their uncertainties σ, a candidate replaces the champion if
    s_champion − s > max(minimum_improvement · s_champion, spread_multiplier · √(σ² + σ_champion²)). Otherwise it is a
    challenger. Refused are a generator that collapsed, and scores of another protocol, which do not compare.
    """
    name = config.score
    if collapsed:
        return Decision("refused", "The generator had collapsed: its samples are nearly all the same.")
    if version is None:
        return Decision("champion", "There was no champion.")
    if champion is None:
        return Decision("refused", f"The champion, version {version}, has no record of its evaluation.")
    if differences := candidate.protocol.differences(champion.protocol):
        return Decision(
            "refused",
            f"Its {name} was made under another protocol than that of the champion, version {version}: "
            f"{'; '.join(differences)}. If it was trained on the same data, evaluate it beside the champion "
            "(python -m components.evaluate … --champion params.yaml), which scores both alike; else give its model "
            "a name of its own (register.model_name).",
        )
    if name not in champion.scores:
        return Decision("refused", f"The champion, version {version}, has no {name} to compare with.")
    improvement = champion.scores[name] - candidate.scores[name]
    least = config.minimum_improvement * champion.scores[name]
    uncertainties = _uncertainty(candidate, name), _uncertainty(champion, name)
    noise = config.spread_multiplier * math.hypot(*uncertainties)
    figures = (
        f"{name} {candidate.scores[name]:.4g} ± {uncertainties[0]:.2g} after "
        f"{champion.scores[name]:.4g} ± {uncertainties[1]:.2g} of version {version}"
    )
    rule = (
        f"{config.minimum_improvement:.3g} of the champion's score ({least:.3g}) and "
        f"{config.spread_multiplier:.3g} joint uncertainties ({noise:.3g})"
    )
    if improvement > max(least, noise):
        return Decision("champion", f"{figures}: better by {improvement:.3g}, which is more than {rule}.")
    if improvement > 0:
        return Decision("challenger", f"{figures}: better by {improvement:.3g}, which is not more than {rule}.")
    return Decision("challenger", f"{figures}: not better.")


def _uncertainty(evaluation: Evaluation, name: str) -> float:
    """The spread over the sampling seeds and the standard error over the images, where the score has one, together."""
    return math.hypot(evaluation.spread[name], evaluation.standard_errors.get(name, 0.0))
