"""The table and the figures of preset_ablation.py."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy import stats

from benchmarks.preset_cases import PRESET
from benchmarks.preset_training import Result
from pipelines.parameters import Values

REAL = "training items through the codec"


class Report(NamedTuple):
    """What the ablation found, for a page and for programs."""

    markdown: str
    figures: dict[str, Any]


def report(results: Sequence[Result], skipped: Mapping[str, str], train: Values) -> Report:
    """Returns distances by case, in multiples of the preset's, and the scores' share of the preset's training."""
    by_case: dict[str, list[Result]] = {}
    for result in results:
        by_case.setdefault(result.specification.case, []).append(result)
    by_case[REAL] = by_case.pop(REAL)  # the last row
    judges = list(by_case[REAL][0].distances)
    rows = {case: _row(of_case, by_case[PRESET], judges) for case, of_case in by_case.items()}
    share = _scores_share(by_case[PRESET], train)
    specification, machines = results[0].specification, sorted({result.machine for result in results})
    busy = sorted(result.seconds / result.wall_seconds for result in results if result.wall_seconds)
    accuracies = [
        f"`{name}` recognises the classes of {accuracy:.1%} of the held-out items."
        for name, accuracy in results[0].accuracies.items()
        if accuracy is not None
    ]
    seeds = len(by_case[PRESET])
    headings = ["put back to the default", "items seen", "failed"]
    headings += [cell for judge in judges for cell in (f"`{judge}`", "times the preset's")]
    lines = [
        " ".join(machines),
        f"{specification.seconds:g} processor seconds of training, {specification.at_once} at a time; {seeds} seeds. "
        f"Fréchet distance of {specification.evaluate['samples']:,} items to the held-out ones, mean ± standard "
        "deviation over the seeds, and the ratio of its geometric mean to the preset's, with Welch's 95 % interval. "
        f"The trainings used {busy[0]:.2f} to {busy[-1]:.2f} processors. " + " ".join(accuracies),
        "\n".join(_line(cells) for cells in (headings, ["---"] * len(headings), *_cells(rows, judges))),
        share["sentence"],
        "\n".join(["Not put back:", "", *(f"- `{name}`: {reason}" for name, reason in skipped.items())]),
    ]
    figures = {
        "machines": machines,
        "seconds": specification.seconds,
        "at_once": specification.at_once,
        "seeds": seeds,
        "judges": results[0].accuracies,
        "cases": rows,
        "scores_while_training": share,
        "not_put_back": dict(skipped),
    }
    return Report("\n\n".join(lines) + "\n", figures)


def _row(of_case: Sequence[Result], of_preset: Sequence[Result], judges: Sequence[str]) -> dict[str, Any]:
    good = [result for result in of_case if not result.failure]
    return {
        "processors": [result.seconds / result.wall_seconds for result in of_case if result.wall_seconds],
        "items_seen": statistics.mean(result.images_seen for result in good) if good else None,
        "failed": [result.failure for result in of_case if result.failure],
        **{
            judge: {
                "distances": [result.distances[judge] for result in good],
                **_ratio(_logarithms(good, judge), _logarithms(of_preset, judge)),
            }
            for judge in judges
        },
    }


def _logarithms(results: Sequence[Result], judge: str) -> list[float]:
    return [math.log(result.distances[judge]) for result in results if not result.failure]


def _ratio(ours: Sequence[float], presets: Sequence[float]) -> dict[str, Any]:
    """Returns the ratio of two geometric means, given logarithms; with Welch's interval if both have two values."""
    if not ours or not presets:
        return {"ratio": None, "interval": None}
    ratio = math.exp(statistics.mean(ours) - statistics.mean(presets))
    if min(len(ours), len(presets)) < 2 or ours == presets:
        return {"ratio": ratio, "interval": None}
    interval = stats.ttest_ind(ours, presets, equal_var=False).confidence_interval(0.95)
    return {"ratio": ratio, "interval": [math.exp(interval.low), math.exp(interval.high)]}


def _scores_share(of_preset: Sequence[Result], train: Values) -> dict[str, Any]:
    """Returns the scores' share of the measured seconds, and of the preset's whole training at the measured speed."""
    good = [result for result in of_preset if result.seconds]
    seconds = sum(result.seconds for result in good)
    in_scores, scores = sum(result.score_seconds for result in good), sum(result.scores for result in good)
    seen = sum(result.images_seen for result in good)
    if not scores:
        return {"share": None, "sentence": "No score fell within these seconds, so their share was not measured."}
    each, speed = in_scores / scores, seen / (seconds - in_scores)
    whole = train["steps"] * train["batch_size"] * train["discriminator_steps"]
    whole_scores = math.ceil(whole / train["score_every_images"])
    whole_share = whole_scores * each / (whole / speed + whole_scores * each)
    return {
        "share": in_scores / seconds,
        "seconds_each": each,
        "share_of_the_whole_training": whole_share,
        "sentence": f"A score of the preset takes {each:.2f} processor seconds. The {scores} scores took "
        f"{in_scores / seconds:.1%} of these {seconds:.0f} seconds, and at this speed {whole_scores} scores take "
        f"{whole_share:.1%} of its whole "
        f"training of {whole:,} items.",
    }


def _cells(rows: Mapping[str, dict[str, Any]], judges: Sequence[str]) -> list[list[str]]:
    found = []
    for case, row in rows.items():
        bold = case in (PRESET, REAL)
        seen = f"{row['items_seen']:,.0f}" if row["items_seen"] else "–"
        cells = [f"**{case}**" if bold else f"`{case}`", seen, str(len(row["failed"]) or "")]
        for judge in judges:
            cells += [_spread(row[judge]["distances"]), _shown(row[judge])]
        found.append(cells)
    return found


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{statistics.mean(values):.3g}" + (f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else "")


def _shown(found: Mapping[str, Any]) -> str:
    if found["ratio"] is None:
        return "–"
    interval = found["interval"]
    return f"{found['ratio']:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
