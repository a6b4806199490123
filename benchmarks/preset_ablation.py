"""What each value of a preset brings that departs from the default image recipe, after equal processor time.

`python -m benchmarks.preset_ablation --preset presets/speech.yaml` puts one value of the preset after the other back to
the default of params.yaml, where the data allows it, and trains with it. Each training has a process of its own; the
order is reversed with every seed. `--at-once 2` trains two at a time, each on half of the processors. The time is that
of all processors together, with scores, grids and checkpoints, but without the first step. Then the best generator is
kept, as in a training, and two judges compare its samples with the held-out items: the preset's own extractor and
`dense`, which is used for no choice (see extractors.py). Training items take the place of samples in a further row.

`results.jsonl` in the output folder gets a line for each finished training. The same command later skips them, so it
continues after it was killed. Changes of the code are not detected; use a new folder after each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.preset_cases import PRESET, Cases, find_cases, train_section, with_recipes
from benchmarks.preset_table import REAL, report
from benchmarks.preset_training import Result, Specification
from benchmarks.preset_training import run as run_training
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run
from pipelines import parameters
from pipelines.parameters import Values


def main() -> None:
    """Runs the missing trainings, and writes the tables."""
    arguments = _parser().parse_args()
    defaults = parameters.read(Path(arguments.config))
    preset = parameters.override(defaults, parameters.preset(arguments.preset))
    output = arguments.output or Path("build") / f"ablation-{arguments.preset.stem}"
    dataset = _prepared(preset["prepare"], output)
    defaults, preset = with_recipes(defaults, preset, dataset)
    cases = find_cases(defaults, preset, dataset)
    if unknown := set(arguments.only or ()) - cases.trained.keys():
        raise InvalidInput(
            f"The option --only must name cases, any of {list(cases.trained)}. Received: {sorted(unknown)[0]!r}"
        )
    wanted = _specifications(cases, preset, dataset, arguments)
    results = _train_missing(wanted, output / "results.jsonl")
    found = report(results, cases.skipped, preset["train"])
    (output / "results.md").write_text(found.markdown, encoding="utf-8")
    (output / "results.json").write_text(json.dumps(found.figures, indent=2) + "\n", encoding="utf-8")
    print(found.markdown)


def _prepared(section: Values, output: Path) -> PreparedDataset:
    """Prepares the data of the preset, once."""
    folder = output / "dataset"
    if not folder.exists():
        command = [
            sys.executable,
            "-m",
            "components.prepare",
            "--config",
            json.dumps(section),
            "--dataset",
            str(folder),
        ]
        subprocess.run(command, check=True)  # noqa: S603
    return PreparedDataset(folder)


def _specifications(
    cases: Cases, preset: Mapping[str, Values], dataset: PreparedDataset, arguments: argparse.Namespace
) -> list[Specification]:
    """Returns a training of each case for each seed, in alternating order; the preset is always one of the cases."""
    chosen = [name for name in cases.trained if not arguments.only or name in (PRESET, *arguments.only)]
    return [
        Specification(
            case=name,
            train=None if name == REAL else train_section(preset["train"], cases.trained[name], seed),
            evaluate=preset["evaluate"],
            dataset=dataset.folder,
            dataset_digest=dataset.manifest.digest,
            seed=seed,
            seconds=arguments.seconds,
            at_once=arguments.at_once,
        )
        for seed in range(arguments.seeds)
        for name in [REAL, *chosen[:: -1 if seed % 2 else 1]]
    ]


def _train_missing(wanted: list[Specification], path: Path) -> list[Result]:
    """Returns the results of all `wanted` trainings, and adds those that `path` lacks to it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    finished = {_key(result.specification): result for result in map(Result.model_validate_json, lines)}
    at_once = wanted[0].at_once
    processors = sorted(os.sched_getaffinity(0))
    shares = [processors[number::at_once] for number in range(at_once)]
    writing = threading.Lock()

    def train(number: int) -> Result:
        specification = wanted[number]
        kept = finished.get(_key(specification))
        name = f"{number + 1} of {len(wanted)}: {specification.case}, seed {specification.seed}"
        print(f"{name}, kept" if kept else name, flush=True)
        if kept:
            return kept
        result = run_training(specification)
        with writing, path.open("a", encoding="utf-8") as file:
            file.write(result.model_dump_json() + "\n")
        return result

    # On Linux the processor affinity is per thread, and the processes that a thread starts inherit it.
    with ThreadPoolExecutor(at_once, initializer=lambda: os.sched_setaffinity(0, shares.pop())) as pool:
        return list(pool.map(train, range(len(wanted))))


def _key(specification: Specification) -> str:
    return specification.model_dump_json()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.preset_ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", type=Path, required=True, help="a file of presets/")
    parser.add_argument(
        "--seconds", type=float, default=150, help="processor seconds of each training (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of a case (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=1, help="trainings at a time (default: %(default)s)")
    parser.add_argument("--only", nargs="*", metavar="CASE", help="cases besides the preset, such as depth=1")
    parser.add_argument("--config", default="params.yaml", help="the file of the default recipe")
    parser.add_argument("--output", type=Path, help="folder (default: build/ablation-<preset>)")
    return parser


if __name__ == "__main__":
    run(main)
