"""Compares generated images with real ones, and explains the scores in a report.

The real and the generated images may each be a prepared data set, a folder or a .zip of images. The real images may
also be an .npz file of statistics, and the generated images may also be a generator.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components import executor
from components.beam.options import add_options, read_options
from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.cache_folder import cache_folder
from components.storage.outputs import whole_output
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

if TYPE_CHECKING:
    from gan_core.config import EvaluateConfig
    from gan_core.evaluation.champion import Comparison
    from gan_core.evaluation.extractors.features import Extractor
    from gan_core.evaluation.feature_extraction import ExtractedFeatures
    from gan_core.evaluation.parts import RunParts
    from gan_core.evaluation.protocol import ChampionScores, Evaluation
    from gan_core.evaluation.report.text_rows import TextRows


def main() -> None:
    """Reads the command line, runs the cheap checks, and evaluates."""
    arguments = executor.checked(parser().parse_args(), "scores")
    options = read_options(arguments)
    config = _config(arguments)
    with contextlib.ExitStack() as stack:
        local = stack.enter_context(paths.local_paths(arguments))
        run_parts = None
        if options:
            from components.beam.evaluation import parts_on_workers

            run_parts = stack.enter_context(parts_on_workers(options, local.cache))
        _evaluate(local, config, run_parts)


def _evaluate(arguments: argparse.Namespace, config: EvaluateConfig, run_parts: RunParts | None) -> None:
    from components.registry.champion import registry_name
    from components.tracking.records import deliver
    from gan_core.evaluation.real_and_generated import open_sides

    sides = open_sides(arguments.real, arguments.generated, config)
    if arguments.champion:
        registry_name(str(arguments.champion), arguments.generated)
    run_id = deliver(arguments.records) if arguments.records else None
    configure_tensorflow()

    from components.cli.progress import counting
    from components.tracking.scores import log_evaluation
    from gan_core.evaluation.class_accuracy import class_accuracy
    from gan_core.evaluation.evaluator import evaluate
    from gan_core.evaluation.extractors.build import build_extractor
    from gan_core.evaluation.feature_extraction import extract_features
    from gan_core.evaluation.report.contents import collect_contents
    from gan_core.evaluation.report.history import training_charts
    from gan_core.evaluation.report.page import render_report
    from gan_core.evaluation.score_table import table
    from gan_core.evaluation.statistics_file import write_statistics

    charts = training_charts(arguments.history, sides.item) if arguments.history else []
    counted = functools.partial(counting, unit=f"{sides.item}s")
    extractor = build_extractor(config, sides.dataset, arguments.cache, counted)
    extracted = extract_features(config, sides, extractor, arguments.cache, counted, run_parts=run_parts)
    accuracy = class_accuracy(config, extractor, extracted, arguments.cache, counted, run_parts=run_parts)
    evaluation = evaluate(config, extractor, extracted).model_copy(update={"class_accuracy": accuracy})
    if evaluation.tracking_run_id is None:  # the generator names no run if MLflow was away during the whole training
        evaluation = evaluation.model_copy(update={"tracking_run_id": run_id})
    with contextlib.ExitStack() as outputs:
        comparison = None
        if arguments.champion:
            comparison, theirs = outputs.enter_context(
                _compared(arguments, config, extractor, extracted, evaluation, run_parts=run_parts)
            )
            evaluation = evaluation.model_copy(update={"champion": theirs})
        if arguments.scores:
            place = outputs.enter_context(whole_output(arguments.scores))
            place.write_text(evaluation.model_dump_json(indent=2) + "\n", encoding="utf-8")
        texts: list[TextRows] = []
        if arguments.report:
            place = outputs.enter_context(whole_output(arguments.report))
            contents = collect_contents(
                extractor, extracted, evaluation, charts, comparison=comparison, seed=config.seed
            )
            place.write_text(render_report(evaluation, contents), encoding="utf-8")
            texts = contents.texts
        if arguments.statistics:
            write_statistics(outputs.enter_context(whole_output(arguments.statistics)), extracted.real, extractor)
    report = arguments.report.place if arguments.report else None
    log_evaluation(evaluation, report, texts, required=bool(run_id))
    trial = {"trial": arguments.trial} if arguments.trial else {}
    executor.write_output(arguments.executor_input, {"scores": {**trial, **evaluation.scores}})
    print(table(evaluation, comparison, sides.item))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.evaluate", description=__doc__)
    add = options.add_argument
    add("--config", default="params.yaml", help="params.yaml, or its evaluate section as a JSON object")
    add(
        "--real",
        type=paths.input_path,
        required=True,
        help="prepared data set, folder or .zip of images, .npz of statistics",
    )
    add(
        "--generated",
        type=paths.input_path,
        required=True,
        help="generator, prepared data set, folder or .zip of images",
    )
    add(
        "--history",
        type=paths.input_path,
        help="training history by images seen, .csv, for the report's curves",
    )
    add(
        "--champion",
        type=paths.input_or_text,
        help="generator to compare with: a folder, models:/NAME@champion, or params.yaml (its model's champion)",
    )
    add(
        "--records",
        type=paths.input_path,
        help="the training's records, .tar: sends what MLflow did not receive, and fails if MLflow does not answer",
    )
    add("--trial", help="what is special about this trial of a sweep; Kubeflow's page shows it with the scores")
    add("--metrics", help="overrides evaluate.metrics; separated by commas: fid,kid,prdc,memorisation")
    add(
        "--mode",
        help="overrides evaluate.resize: legacy_tensorflow, legacy_pytorch or clean; only for the extractor inception",
    )
    add("--scores", type=paths.output(kinds.SCORES), help="output: the evaluation's record, .json")
    add("--report", type=paths.output(kinds.REPORT), help="output: the report, .html")
    add(
        "--statistics",
        type=paths.output(kinds.STATISTICS),
        help="output: the real images' statistics, .npz, as pytorch-fid reads them",
    )
    add("--cache", type=paths.local_path, default=cache_folder(), help="folder for cached results")
    add_options(options)
    executor.add_option(options)
    return options


def _config(arguments: argparse.Namespace) -> EvaluateConfig:
    from gan_core.config import EvaluateConfig

    config = read_section(arguments.config, EvaluateConfig)
    changes: dict[str, object] = {}
    if arguments.metrics is not None:
        changes["metrics"] = arguments.metrics.split(",")
    if arguments.mode is not None:
        changes["resize"] = arguments.mode
    config = EvaluateConfig.parse(config.model_dump() | changes)
    if arguments.mode is not None and config.extractor != "inception":
        raise InvalidInput(
            "--mode needs the extractor inception: the others have only one way to resize images. "
            f"Received: --mode {arguments.mode}, evaluate.extractor={config.extractor!r}"
        )
    return config


@contextlib.contextmanager
def _compared(
    arguments: argparse.Namespace,
    config: EvaluateConfig,
    extractor: Extractor,
    extracted: ExtractedFeatures,
    evaluation: Evaluation,
    *,
    run_parts: RunParts | None,
) -> Iterator[tuple[Comparison, ChampionScores | None]]:
    """Yields the comparison with the champion, or the reason why there is none, and its scores for the record."""
    from components.cli.progress import counting
    from components.registry.champion import find_champion
    from gan_core.evaluation.champion import Comparison, compare
    from gan_core.evaluation.protocol import ChampionScores
    from gan_core.export import generator_digest

    with find_champion(str(arguments.champion), arguments.generated) as champion:
        if isinstance(champion, str):
            yield Comparison("", None, None, (champion,)), None
            return
        counted = functools.partial(counting, unit=f"{extracted.sides.item}s")
        comparison = compare(
            config, extractor, extracted, evaluation, champion=champion, counting=counted, run_parts=run_parts
        )
        scores = None
        if comparison.evaluation:
            figures = comparison.evaluation.model_dump(include={"scores", "spread", "standard_errors"})
            scores = ChampionScores(generator_digest=generator_digest(champion.folder), **figures)
        yield comparison, scores


if __name__ == "__main__":
    run(main)
