"""Checks the scores in the record of an evaluation: each is finite, complete and within its range."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import ChampionScores, Evaluation

# The unbiased kernel distance and the extrapolated distances, which are intercepts, may be negative.
_AT_LEAST_0 = ("fid", "fad", "fd", "target_l1", "density", "diversity")
_SHARES = ("precision", "recall", "coverage", "authenticity", "class_agreement", "class_shift", "train_preference")
_WITH_STANDARD_ERROR = ("fid", "fad", "fd", "kid")
_ROUNDING = 1e-6


def find_faults(evaluation: Evaluation) -> list[str]:
    """Returns a record's impossible values, each as `field must …, not value`; empty if the record is valid."""
    faults = [f"{field} must be finite, not {value}" for field, value in _not_finite(evaluation.model_dump())]
    faults += _faults_of_scores(evaluation, "")
    if evaluation.champion:
        faults += _faults_of_scores(evaluation.champion, "champion.")
    for name, interval in evaluation.intervals.items():
        if interval.low > interval.high:
            faults.append(f"intervals.{name} must have low below high, not {interval.low} and {interval.high}")
    if unknown := sorted(evaluation.intervals.keys() - evaluation.scores.keys()):
        faults.append(f"intervals must be of the scores, not of {unknown[0]}")
    protocol = evaluation.protocol
    if protocol.samples < 1:
        faults.append(f"protocol.samples must be at least 1, not {protocol.samples}")
    if len(set(protocol.sampling_seeds)) < len(protocol.sampling_seeds):
        faults.append(f"protocol.sampling_seeds must differ, not {list(protocol.sampling_seeds)}")
    return faults


def parse_registered(text: str) -> Evaluation | None:
    """Returns the evaluation that a version was registered with; None if there is none or its values are impossible."""
    try:
        evaluation = Evaluation.parse(text, "the version's tag")
    except InvalidInput:
        return None
    return None if find_faults(evaluation) else evaluation


def has_standard_error(score: str) -> bool:
    """Whether an evaluation has a standard error for the score: only distances that are not extrapolated have one."""
    return score.partition("_")[0] in _WITH_STANDARD_ERROR and not _is_extrapolated(score)


def _faults_of_scores(record: Evaluation | ChampionScores, place: str) -> list[str]:
    faults = []
    for name, value in record.scores.items():
        least, most = _range(name)
        if value < least - _ROUNDING or value > most + _ROUNDING:
            faults.append(f"{place}scores.{name} must be from {least:g} to {most:g}, not {value}")
    if odd := sorted(record.scores.keys() ^ record.spread.keys()):
        faults.append(f"{place}spread must be of the same scores as {place}scores, but {odd[0]} is in one of them only")
    if unknown := sorted(record.standard_errors.keys() - record.scores.keys()):
        faults.append(f"{place}standard_errors must be of the scores, not of {unknown[0]}")
    for kind, values in (("spread", record.spread), ("standard_errors", record.standard_errors)):
        faults += [
            f"{place}{kind}.{name} must be at least 0, not {value}" for name, value in values.items() if value < 0
        ]
    return faults


def _range(score: str) -> tuple[float, float]:
    if score.startswith(_SHARES):
        return 0.0, 1.0
    if _is_extrapolated(score) or not any(score == name or score.startswith(f"{name}_") for name in _AT_LEAST_0):
        return -math.inf, math.inf
    return 0.0, math.inf


def _is_extrapolated(score: str) -> bool:
    return score.startswith(("fid_infinity", "fad_infinity", "fd_infinity"))


def _not_finite(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _not_finite(entry, f"{place}.{name}" if place else name)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, entry in enumerate(value):
            yield from _not_finite(entry, f"{place}.{index}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, value
