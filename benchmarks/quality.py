"""Quality per minute on all of Fashion-MNIST: this project's recipes and the official tutorial's DCGAN in alternation.

`python -m benchmarks.quality` trains the default recipe (the train section of params.yaml) and both settings of the
peer (see tutorial_dcgan.py) for the same wall time. Each training has the whole machine and a process of its own; the
order is reversed with every seed. `--at-once 2` trains two at a time, each on half of the processors. Neither
compilation nor drawing samples counts. The samples are scored afterwards (see extractors.py). Earlier results of the
same settings are read from the output folder, which holds `results.md`, `results.json`, a grid of samples for each
side, and the samples. Changes of the code are not detected; use a new folder after each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks.machine import machine
from benchmarks.official_split import official_split
from benchmarks.timed_training import Specification
from benchmarks.timed_training import run as run_timed
from benchmarks.tutorial_dcgan import SETTINGS
from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.codecs.grid import image_grid, write_png
from gan_core.config import TrainConfig
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run
from gan_core.recipes import IMAGES, with_recipe

_MOMENTS = (2.5, 5, 7.5, 10, 15, 20, 30, 60, 100, 150, 300, 600, 1200, 1800, 2400, 3600)
_ABLATION = Path(__file__).with_name("ablation.yaml")
_YAML = YAML(typ="safe", pure=True)


def main() -> None:
    """Runs the missing trainings, scores the samples, and writes the tables."""
    arguments = _parser().parse_args()
    recipes = {"default": {}, **_recipes(arguments)}
    sides = _sides(recipes, arguments)
    specifications = [one for seed in range(arguments.seeds) for one in _turn(sides, seed, arguments)]
    folders = [arguments.output / "trainings" / _name(specification) for specification in specifications]
    official_split()  # fails now if the data set is missing, not after hours of work
    processors = sorted(os.sched_getaffinity(0))
    shares = [processors[number :: arguments.at_once] for number in range(arguments.at_once)]

    def train(number: int) -> None:
        folder = folders[number]
        print(f"{number + 1} of {len(folders)}: {folder.name}" + (", kept" if folder.exists() else ""), flush=True)
        if not folder.exists():
            run_timed(specifications[number], folder)

    # On Linux the processor affinity is per thread, and the processes that a thread starts inherit it.
    with ThreadPoolExecutor(arguments.at_once, initializer=lambda: os.sched_setaffinity(0, shares.pop())) as pool:
        list(pool.map(train, range(len(folders))))
    _judge(arguments, list(sides), folders)


def _recipes(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Returns each recipe's changes of the train section, by name."""
    recipes: dict[str, dict[str, Any]] = {}
    if arguments.ablate:
        recipes |= _YAML.load(_ABLATION)
    for name, overrides in arguments.recipe:
        pairs = [override.partition("=") for override in shlex.split(overrides)]
        if unknown := [key for key, _, _ in pairs if not key.startswith("train.")]:
            raise InvalidInput(f"An override must be train.<parameter>=<value>. Received: {unknown[0]!r}")
        recipes[name] = {key.removeprefix("train."): _YAML.load(value) for key, _, value in pairs}
    return recipes


def _sides(recipes: dict[str, dict[str, Any]], arguments: argparse.Namespace) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns trainer and settings of each side, by name."""
    default = _YAML.load(Path(arguments.config))["train"]
    sides: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, changes in recipes.items():
        try:
            sides[name] = (
                "project",
                with_recipe(TrainConfig.parse(default | changes), IMAGES).model_dump(exclude={"seed", "steps"}),
            )
        except InvalidInput as error:
            raise InvalidInput(f"In the recipe '{name}': {error}") from None
    if not arguments.no_tutorial:
        sides |= {name: ("tutorial", settings) for name, settings in SETTINGS.items()}
    return sides


def _turn(
    sides: dict[str, tuple[str, dict[str, Any]]], seed: int, arguments: argparse.Namespace
) -> Iterator[Specification]:
    """Returns a training of each side: in the order given for even seeds, in reverse order for odd ones."""
    end = arguments.minutes * 60
    moments = (*(moment for moment in sorted(arguments.score_at) if moment < end), end)
    for side in list(sides)[:: -1 if seed % 2 else 1]:
        trainer, settings = sides[side]
        yield Specification(
            side=side,
            trainer=trainer,
            settings=settings,
            seed=seed,
            moments=moments,
            samples=arguments.samples,
            at_once=arguments.at_once,
        )


def _name(specification: Specification) -> str:
    digest = hashlib.sha256(specification.model_dump_json().encode()).hexdigest()[:8]
    return f"{specification.side}-seed{specification.seed}-{digest}"


def _judge(arguments: argparse.Namespace, sides: list[str], folders: list[Path]) -> None:
    configure_tensorflow()
    from benchmarks.extractors import build_extractors
    from benchmarks.quality_scores import Judge
    from benchmarks.quality_tables import final_table, growth_table

    dataset = official_split()
    train, test = (dataset.split(name) for name in ("train", "held_out"))
    extractors = build_extractors(dataset, arguments.output / "cache")
    judge = Judge(extractors, test.images(np.arange(test.count)))
    chosen = np.random.default_rng(0).permutation(train.count)[: arguments.samples]
    floor = judge.scores(train.images(chosen))
    trainings: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for folder in folders:
        training = judge.score_training(folder)
        side = training["specification"]["side"]
        if not trainings[side] and training["rows"]:
            shown = np.load(folder / f"{training['rows'][-1]['moment']:g}.npy")[:64]
            write_png(arguments.output / f"{side}.png", image_grid(shown, 8))
        trainings[side].append(training)

    reference = "default" if arguments.no_tutorial else "tutorial-tuned"
    names = [extractor.name for extractor in extractors]
    parts = [
        machine(),
        f"{arguments.minutes:g} minutes of training, {arguments.at_once} at a time, {arguments.seeds} seeds, "
        f"{arguments.samples} samples against "
        f"{test.count} test images. Fréchet distances, mean ± standard deviation over the seeds; their share of those "
        f"of {reference}; seconds of training to reach its last.",
        final_table(trainings, reference, names, floor),
        *(f"By training time, {name}:\n\n{growth_table(trainings, name)}" for name in names),
    ]
    (arguments.output / "results.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    found = {
        "machine": parts[0],
        "extractors": [{"name": e.name, "digest": e.digest, "accuracy": e.accuracy} for e in extractors],
        "train_images": floor,
        "trainings": trainings,
    }
    (arguments.output / "results.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n\n".join(parts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5, help="minutes of training (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of a side (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=10_000, help="samples at each moment (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=1, help="trainings at a time (default: %(default)s)")
    parser.add_argument(
        "--score-at",
        type=float,
        nargs="*",
        default=_MOMENTS,
        metavar="SECONDS",
        help="moments before the end (default: %(default)s)",
    )
    parser.add_argument(
        "--recipe",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "OVERRIDES"),
        help="a further recipe, such as wide 'train.generator_width=64 train.discriminator_width=64'",
    )
    parser.add_argument("--ablate", action="store_true", help=f"add the recipes of {_ABLATION.name}")
    parser.add_argument(
        "--no-tutorial", action="store_true", help="do not train the tutorial; compare with the default"
    )
    parser.add_argument("--config", default="params.yaml", help="the file whose train section is the default recipe")
    parser.add_argument("--output", type=Path, default=Path("build/quality"), help="folder (default: %(default)s)")
    return parser


if __name__ == "__main__":
    run(main)
