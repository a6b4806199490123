"""Prints the results of a run of the pipeline: files, scores, the registry's decision, and what to try next.

It also writes the files that DVC shows: the few values for comparing experiments, and the scores computed during
training, under names that do not depend on the extractor.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.registry.evaluation_record import read_evaluation
from components.storage import output_kinds as kinds
from components.storage.outputs import Output, whole_output
from gan_core.errors import InvalidInput
from gan_core.evaluation.score_meanings import score_name
from gan_core.exit_codes import run
from gan_core.metric_names import COLLAPSED, DIVERSITY, EXAMPLES_PER_SECOND, quick_score, score
from gan_core.untrusted_files import read_bytes

if TYPE_CHECKING:
    from gan_core.evaluation.protocol import Evaluation

MODEL = Path("models/generator")
HISTORY = Path("reports/training.csv")
_REQUIRED_COLUMNS = ("images_seen", EXAMPLES_PER_SECOND)
SAMPLES = Path("reports/samples.png")
SCORES = Path("reports/scores.json")
REPORT = Path("reports/report.html")
REGISTRATION = Path("reports/registration.json")
METRICS = Path("reports/metrics.json")
QUALITY = Path("reports/quality.csv")

# The scores with which a person compares experiments.
_COMPARED = ("fd", "kid", "precision", "recall", "coverage", "class_shift", "authenticity")
_COMPARED_OF_PAIRS = ("target_l1", "target_psnr", "target_ssim")
_QUALITY = {"frechet_distance": ("fd_", "fid"), "precision": ("precision_",), "recall": ("recall_",)}

NEXT = """\
  make ui                              the run and the model in MLflow, http://127.0.0.1:5000
  dvc exp run -S train.steps=20000     change a parameter; only what depends on it runs again
  dvc exp show --only-changed          compare experiments
  dvc plots show                       the curves"""


def main() -> None:
    """Reads the outputs below the working directory, prints the summary and writes the figures."""
    argparse.ArgumentParser(prog="python -m components.summary", description=__doc__).parse_args()
    from gan_core.codecs import codec_of
    from gan_core.export import read_metadata

    for path in (MODEL, HISTORY, SAMPLES, SCORES, REPORT, REGISTRATION):
        if not path.exists():
            raise InvalidInput(
                f"The summary needs the outputs of a complete run; `make run` makes them. Received: no {path}"
            )
    generator = read_metadata(MODEL)
    items = f"{codec_of(generator).item}s"
    evaluation = read_evaluation(SCORES)
    registration, rows = _read_registration(), _read_history()
    with (
        whole_output(Output(METRICS, kinds.FIGURES)) as metrics,
        whole_output(Output(QUALITY, kinds.HISTORY)) as quality,
    ):
        metrics.write_text(json.dumps(_compared(evaluation, rows), indent=2) + "\n", encoding="utf-8")
        _write_quality(quality, rows)
    training = _training(generator.images_seen, rows, items)
    sections = {
        "Generator": _files({MODEL: training, SAMPLES: "samples", REPORT: "the report"}),
        "Scores": _scores(evaluation, items),
        "Registry": _registration(registration),
        "Next": NEXT,
    }
    print("\n" + "\n\n".join(f"{title}\n{text}" for title, text in sections.items()) + "\n")


def _read_registration() -> dict[str, Any]:
    try:
        record = json.loads(read_bytes(REGISTRATION, kinds.MOST_BYTES))
        return {name: record[name] for name in ("name", "version", "decision", "reason")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(
            f"The registration's record must be a file that components.register wrote. Received: {REGISTRATION}"
        ) from None


def _read_history() -> list[dict[str, str]]:
    try:
        with HISTORY.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or not all(math.isfinite(float(row[name])) for row in rows for name in _REQUIRED_COLUMNS):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        raise InvalidInput(f"The history must be a file that components.train wrote. Received: {HISTORY}") from None
    return rows


def _files(descriptions: dict[Path, str]) -> str:
    return "\n".join(f"  {path!s:<36} {text}" for path, text in descriptions.items())


def _training(images_seen: int, rows: list[dict[str, str]], items: str) -> str:
    """Describes the training; `images_seen` is the number of items that the resulting generator had seen."""
    seen = int(float(rows[-1]["images_seen"]))
    best = f", the best generator after {images_seen:,} {items}" if images_seen < seen else ""
    speed = _speed(rows)
    if not speed:
        return f"{seen:,} {items} seen{best}"
    return f"{seen:,} {items} seen in {_duration(seen / speed)}, {speed:,.0f} a second{best}"


def _speed(rows: list[dict[str, str]]) -> float:
    """Returns examples per second, the median over the rows with a positive rate; 0 if there is no such row."""
    speeds = [speed for row in rows if (speed := float(row[EXAMPLES_PER_SECOND])) > 0]
    return statistics.median(speeds) if speeds else 0.0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _scores(evaluation: Evaluation, items: str) -> str:
    protocol = evaluation.protocol
    lines = [
        f"  {name:<36} {value:.4g} ± {evaluation.spread[name]:.2g}{_interval(evaluation, name)}"
        for name, value in evaluation.scores.items()
    ]
    lines.append(
        f"  {protocol.samples:,} samples for each of {len(protocol.sampling_seeds)} seeds, against "
        f"{protocol.reference_count:,} {protocol.reference.replace('_', '-')} {items}; {SCORES}"
    )
    return "\n".join([*lines, *(f"  Note: {warning}" for warning in evaluation.warnings)])


def _interval(evaluation: Evaluation, name: str) -> str:
    interval = evaluation.intervals.get(name)
    return f", 95 % within {interval.low:.4g} to {interval.high:.4g}" if interval else ""


def _compared(evaluation: Evaluation, rows: list[dict[str, str]]) -> dict[str, float]:
    """Returns the values for `dvc metrics` and `dvc exp show`."""
    names = [score_name(metric, evaluation.protocol.extractor) for metric in _COMPARED]
    figures = {
        score(name): evaluation.scores[name] for name in (*names, *_COMPARED_OF_PAIRS) if name in evaluation.scores
    }
    if (distance := names[0]) in evaluation.standard_errors:
        place = f"standard_errors.{distance}"
        figures[score(place)] = evaluation.standard_errors[distance]
    # The row of the resulting generator, which is the best generator and not always the last.
    row = next((row for row in reversed(rows) if float(row["images_seen"]) <= evaluation.images_seen), rows[-1])
    figures |= {name: float(row[name]) for name in (DIVERSITY, COLLAPSED) if name in row}
    return figures | {"images_seen": evaluation.images_seen, EXAMPLES_PER_SECOND: _speed(rows)}


def _write_quality(path: Path, rows: list[dict[str, str]]) -> None:
    """Writes the scores computed during training, one row for each time; only the header if there are none."""
    columns = {
        name: next((column for column in rows[0] if column.startswith(tuple(map(quick_score, starts)))), "")
        for name, starts in _QUALITY.items()
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["images_seen", *columns])
        for row in rows:
            values = [row.get(column, "nan") for column in columns.values()]
            if set(values) != {"nan"}:
                writer.writerow([row["images_seen"], *values])


def _registration(record: dict[str, Any]) -> str:
    return f"  {record['name']} version {record['version']}: {record['decision']}. {record['reason']}\n  {REGISTRATION}"


if __name__ == "__main__":
    run(main)
