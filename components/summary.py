"""Prints what a run of the pipeline made: files, scores, the registry's decision, and what to try next."""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from pathlib import Path
from typing import Any

from components.command import run
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Evaluation
from gan_core.export import read_metadata
from gan_core.metric_names import EXAMPLES_PER_SECOND

MODEL = Path("models/generator")
HISTORY = Path("reports/training.csv")
SAMPLES = Path("reports/samples.png")
SCORES = Path("reports/scores.json")
REPORT = Path("reports/report.html")
REGISTRATION = Path("reports/registration.json")

NEXT = """\
  make ui                              the run and the model in MLflow, http://127.0.0.1:5000
  dvc exp run -S train.steps=20000     change a parameter; only what depends on it runs again
  dvc exp show --only-changed          compare experiments
  dvc plots show                       the curves"""


def main() -> None:
    """Reads the outputs below the working directory and prints the summary."""
    argparse.ArgumentParser(prog="python -m components.summary", description=__doc__).parse_args()
    for path in (MODEL, HISTORY, SAMPLES, SCORES, REPORT, REGISTRATION):
        if not path.exists():
            raise InvalidInput(f"The summary is of a complete run: make run. Received: no {path}")
    generator = read_metadata(MODEL)
    evaluation = Evaluation.parse(SCORES.read_bytes(), str(SCORES))
    registration = json.loads(REGISTRATION.read_text(encoding="utf-8"))
    with HISTORY.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sections = {
        "Generator": _files({MODEL: _training(generator.images_seen, rows), SAMPLES: "samples", REPORT: "the report"}),
        "Scores": _scores(evaluation),
        "Registry": _registration(registration),
        "Next": NEXT,
    }
    print("\n" + "\n\n".join(f"{title}\n{text}" for title, text in sections.items()) + "\n")


def _files(descriptions: dict[Path, str]) -> str:
    return "\n".join(f"  {path!s:<36} {text}" for path, text in descriptions.items())


def _training(images_seen: int, rows: list[dict[str, str]]) -> str:
    """Of the whole training; the generator that came out of it had seen `images_seen`."""
    seen = int(float(rows[-1]["images_seen"]))
    best = f", the best after {images_seen:,}" if images_seen < seen else ""
    speeds = [speed for row in rows if (speed := float(row[EXAMPLES_PER_SECOND])) > 0]
    if not speeds:
        return f"{seen:,} images seen{best}"
    speed = statistics.median(speeds)
    return f"{seen:,} images seen at {speed:,.0f} a second: {_duration(seen / speed)}{best}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _scores(evaluation: Evaluation) -> str:
    protocol = evaluation.protocol
    lines = [
        f"  {name:<36} {value:.4g} ± {evaluation.spread[name]:.2g}{_interval(evaluation, name)}"
        for name, value in evaluation.scores.items()
    ]
    lines.append(
        f"  {protocol.samples:,} samples for each of {len(protocol.sampling_seeds)} seeds, against "
        f"{protocol.reference_count:,} {protocol.reference.replace('_', '-')} images; {SCORES}"
    )
    return "\n".join([*lines, *(f"  Note: {warning}" for warning in evaluation.warnings)])


def _interval(evaluation: Evaluation, name: str) -> str:
    interval = evaluation.intervals.get(name)
    return f", 95 % within {interval.low:.4g} to {interval.high:.4g}" if interval else ""


def _registration(record: dict[str, Any]) -> str:
    return f"  {record['name']} version {record['version']}: {record['decision']}. {record['reason']}\n  {REGISTRATION}"


if __name__ == "__main__":
    run(main)
