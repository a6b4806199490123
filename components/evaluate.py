"""Scores generated images against real ones, and explains the scores in a report.

Images are a prepared data set, a folder or a .zip of images. Real ones may also be a .npz of statistics, generated ones
a generator.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from components import executor, storage
from components.command import configure_tensorflow, read_section, require_writable, run, whole_output
from gan_core.errors import InvalidInput

if TYPE_CHECKING:
    from gan_core.config import EvaluateConfig
    from gan_core.evaluation.features import Extractor
    from gan_core.evaluation.protocol import Evaluation
    from gan_core.evaluation.subjects import Subjects


def main() -> None:
    """Reads the command line, checks what can be checked at once, and evaluates."""
    arguments = parser().parse_args()
    config = _config(arguments)
    with storage.local_paths(arguments) as local:
        _evaluate(local, config)


def _evaluate(arguments: argparse.Namespace, config: EvaluateConfig) -> None:
    from gan_core.evaluation.subjects import open_subjects

    subjects = open_subjects(arguments.real, arguments.generated, config)
    require_writable(*(path for path in (arguments.scores, arguments.report, arguments.statistics) if path))
    configure_tensorflow()

    from components.tracking import log_evaluation
    from gan_core.evaluation.evaluator import evaluate, measure
    from gan_core.evaluation.report.exhibits import collect
    from gan_core.evaluation.report.page import render, training_charts
    from gan_core.evaluation.statistics import write_statistics

    charts = training_charts(arguments.history) if arguments.history else []
    extractor = _extractor(config, subjects, arguments.cache)
    measured = measure(config, subjects, extractor, arguments.cache, _counting)
    evaluation = evaluate(config, extractor, measured)
    with contextlib.ExitStack() as outputs:
        if arguments.scores:
            place = outputs.enter_context(whole_output(arguments.scores))
            place.write_text(evaluation.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if arguments.report:
            place = outputs.enter_context(whole_output(arguments.report))
            place.write_text(render(evaluation, collect(extractor, measured, charts, config.seed)), encoding="utf-8")
        if arguments.statistics:
            write_statistics(outputs.enter_context(whole_output(arguments.statistics)), measured.real, extractor)
    if arguments.report:
        log_evaluation(evaluation, arguments.report)
    executor.write_output(arguments.executor_input, {"scores": evaluation.scores})
    print(_table(evaluation))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.evaluate", description=__doc__)
    add = options.add_argument
    add("--config", default="params.yaml", help="params.yaml, or its evaluate section as a JSON object")
    add(
        "--real",
        type=storage.input_path,
        required=True,
        help="prepared data set, folder or .zip of images, .npz of statistics",
    )
    add(
        "--generated",
        type=storage.input_path,
        required=True,
        help="generator, prepared data set, folder or .zip of images",
    )
    add(
        "--history",
        type=storage.input_path,
        help="the training's figures by images seen, .csv, for the report's curves",
    )
    add("--metrics", help="in place of evaluate.metrics, with commas: fid,kid,prdc,memorisation")
    add("--mode", help="in place of evaluate.resize: legacy_tensorflow, legacy_pytorch or clean")
    add("--scores", type=storage.output_path, help="output: the evaluation's record, .json")
    add("--report", type=storage.output_path, help="output: the report, .html")
    add(
        "--statistics",
        type=storage.output_path,
        help="output: the real images' statistics, .npz, as pytorch-fid reads them",
    )
    add("--cache", type=Path, default=_cache_folder(), help="folder for what need not be computed twice")
    executor.add_option(options)
    return options


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan-pipeline"


def _config(arguments: argparse.Namespace) -> EvaluateConfig:
    from gan_core.config import EvaluateConfig

    config = read_section(arguments.config, "evaluate", EvaluateConfig)
    changes: dict[str, object] = {}
    if arguments.metrics is not None:
        changes["metrics"] = arguments.metrics.split(",")
    if arguments.mode is not None:
        changes["resize"] = arguments.mode
    return EvaluateConfig.parse(config.model_dump() | changes)


def _extractor(config: EvaluateConfig, subjects: Subjects, cache: Path) -> Extractor:
    if config.extractor == "inception":
        from gan_core.evaluation.inception import InceptionExtractor
        from gan_core.evaluation.weights import load_weights

        return InceptionExtractor(load_weights(config.inception_weights, cache), config.resize)
    if subjects.dataset is None:
        raise InvalidInput(
            "The extractor 'classifier' learns from the labels of a prepared data set. For other real images set "
            "evaluate.extractor to 'inception' and provide its weights. "
            f"Received: evaluate.extractor='classifier', {subjects.real_path}"
        )
    from gan_core.evaluation.classifier import IMAGES_SHOWN, train_classifier

    with _counting(IMAGES_SHOWN, "classifier") as advance:
        return train_classifier(subjects.dataset, cache, advance)


@contextlib.contextmanager
def _counting(total: int, description: str) -> Iterator[Callable[[int], None]]:
    """A progress bar that appears with the first image: what comes out of the cache shows none."""
    from components.progress import progress

    with contextlib.ExitStack() as stack:
        bar = None

        def advance(count: int) -> None:
            nonlocal bar
            bar = bar or stack.enter_context(progress(total, "images", description))
            bar.advance(count)

        yield advance


def _table(evaluation: Evaluation) -> str:
    """The scores for a person at a terminal."""
    from gan_core.evaluation.scores import decimals

    width = max(map(len, evaluation.scores))
    lines = []
    for name, value in evaluation.scores.items():
        spread, error = evaluation.spread[name], evaluation.standard_errors.get(name)
        digits = decimals(value, spread or error)
        line = f"{name:<{width}}  {value:>12.{digits}f}"
        if spread:
            line += f" ± {spread:.{digits}f} over {len(evaluation.protocol.sampling_seeds)} sampling seeds"
        if error:
            line += f", standard error {error:.2g}"
        lines.append(line)
    return "\n".join([*lines, *(f"warning: {sentence}" for sentence in evaluation.warnings)])


if __name__ == "__main__":
    run(main)
