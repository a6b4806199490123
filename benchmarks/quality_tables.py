"""The Markdown tables of quality.py."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.extractors import TUNED_ON
from benchmarks.quality_scores import seconds_to_reach

Trainings = Mapping[str, Sequence[dict[str, Any]]]
"""For each side a scored training for each seed."""


def final_table(trainings: Trainings, reference: str, extractors: Sequence[str], floor: Mapping[str, float]) -> str:
    """Final scores of each side, their ratio to the reference's, and the time to reach the reference's.

    A failed training has no final score. The table counts it, and the means exclude it.
    """
    scored = {side: [one for one in of_side if not one["failure"]] for side, of_side in trainings.items()}
    targets = {e: statistics.mean(one["rows"][-1][e] for one in scored[reference]) for e in extractors}
    headings = ["side", "images/s", "lowest diversity", "failed"]
    for extractor in extractors:
        name = f"{extractor} (tuned on)" if extractor in TUNED_ON else extractor
        headings += [name, "share", "s to reach"]
    lines = [_line(headings), _line(["---"] * len(headings))]
    for side, of_side in scored.items():
        cells = [side, "–", "–", f"{len(trainings[side]) - len(of_side)} of {len(trainings[side])}"]
        if of_side:
            last = [one["rows"][-1] for one in of_side]
            cells[1] = f"{statistics.mean(row['images_seen'] / row['seconds'] for row in last):.0f}"
            cells[2] = f"{min(row['diversity'] for row in last):.2f}"
        for extractor in extractors:
            if not of_side:
                cells += ["–"] * 3
                continue
            values = [row[extractor] for row in last]
            share = statistics.mean(values) / targets[extractor]
            cells += [_spread(values), f"{share:.3f}", _reached(of_side, extractor, targets[extractor])]
        lines.append(_line(cells))
    lines.append(
        _line(["train images", "", "", ""] + [cell for e in extractors for cell in (f"{floor[e]:.4g}", "", "")])
    )
    return "\n".join(lines)


def growth_table(trainings: Trainings, extractor: str) -> str:
    """Mean and spread of the distance over the seeds at each moment, one column for each side."""
    by_moment: dict[float, dict[str, list[float]]] = {}
    for side, of_side in trainings.items():
        for training in of_side:
            for row in training["rows"]:
                by_moment.setdefault(row["moment"], {}).setdefault(side, []).append(row[extractor])
    lines = [_line(["seconds", *trainings]), _line(["---"] * (1 + len(trainings)))]
    for moment in sorted(by_moment):
        cells = [_spread(by_moment[moment][side]) if side in by_moment[moment] else "–" for side in trainings]
        lines.append(_line([f"{moment:g}", *cells]))
    return "\n".join(lines)


def _reached(trainings: Sequence[dict[str, Any]], extractor: str, target: float) -> str:
    times = [seconds_to_reach(training["rows"], extractor, target) for training in trainings]
    reached = [time for time in times if time is not None]
    if not reached:
        return "never"
    at_once = sum(time == training["rows"][0]["seconds"] for time, training in zip(times, trainings, strict=True))
    text = ("≤ " if at_once else "") + f"{statistics.mean(reached):.1f}"
    return text if len(reached) == len(times) else f"{text} ({len(reached)} of {len(times)})"


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4g}{spread}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
