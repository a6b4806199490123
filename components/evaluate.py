"""Scores a generator against real images, and explains the scores in a report.

python -m components.evaluate --config params.yaml --real data/prepared --generated models/generator
    --history reports/training.csv --scores reports/scores.json --report reports/report.html
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from components.command import configure_tensorflow, read_section, require_writable, run, whole_output
from gan_core.config import EvaluateConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.export import load_generator, read_metadata

if TYPE_CHECKING:
    from gan_core.evaluation.protocol import Evaluation
    from gan_core.evaluation.report.page import Exhibits


def main() -> None:
    """Runs the stage."""
    arguments = _parser().parse_args()
    config = read_section(arguments.config, "evaluate", EvaluateConfig)
    dataset = PreparedDataset(arguments.real)
    metadata = read_metadata(arguments.generated)
    if metadata.shape != dataset.manifest.shape:
        raise InvalidInput(
            f"Generated and real images must have the same shape. "
            f"Received: {metadata.shape} in {arguments.generated} and {dataset.manifest.shape} in {arguments.real}"
        )
    require_writable(arguments.scores, arguments.report)
    configure_tensorflow()
    evaluation, exhibits = _evaluate(config, dataset, arguments)

    from gan_core.evaluation.report.page import render

    with whole_output(arguments.scores) as scores, whole_output(arguments.report) as report:
        scores.write_text(evaluation.model_dump_json(indent=2) + "\n", encoding="utf-8")
        report.write_text(render(evaluation, exhibits), encoding="utf-8")
    print(_table(evaluation))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="params.yaml", help="params.yaml, or its section 'evaluate' as JSON")
    parser.add_argument("--real", type=Path, required=True, help="prepared data set")
    parser.add_argument("--generated", type=Path, required=True, help="generator folder")
    parser.add_argument("--history", type=Path, help="the training's history, for the report's curves")
    parser.add_argument("--scores", type=Path, required=True, help="where the scores go, JSON")
    parser.add_argument("--report", type=Path, required=True, help="where the report goes, HTML")
    parser.add_argument(
        "--cache", type=Path, default=_cache_folder(), help="folder for what need not be computed twice"
    )
    return parser


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gan-pipeline"


def _evaluate(
    config: EvaluateConfig, dataset: PreparedDataset, arguments: argparse.Namespace
) -> tuple[Evaluation, Exhibits]:
    import numpy as np

    from gan_core.evaluation.classifier import train_classifier
    from gan_core.evaluation.confidence import frechet_standard_error
    from gan_core.evaluation.features import extract, extract_cached
    from gan_core.evaluation.images import GeneratedImages
    from gan_core.evaluation.protocol import Evaluation, Protocol
    from gan_core.evaluation.report import gallery
    from gan_core.evaluation.report.page import Exhibits, training_charts
    from gan_core.evaluation.scores import score, score_name, warnings

    generator = load_generator(arguments.generated)
    extractor = train_classifier(dataset, arguments.cache)
    features = {}
    for split in ("train", "held_out"):
        images = dataset.split(split).batches(config.batch_size)
        content = {"dataset": dataset.manifest.digest, "split": split}
        features[split] = extract_cached(extractor, images, content, arguments.cache)
    real = features[config.reference]
    training = features["train"] if config.reference != "train" else None

    seeds = tuple(range(config.seed, config.seed + config.sampling_seeds))
    kid_subset_size = min(config.kid_subset_size, len(real.features), config.samples)
    sets = [
        extract(extractor, GeneratedImages(generator, config.samples, seed).batches(config.batch_size))
        for seed in seeds
    ]
    figures = [
        score(
            real,
            drawn,
            training,
            extractor,
            metrics=config.metrics,
            kid_subsets=config.kid_subsets,
            kid_subset_size=kid_subset_size,
            seed=config.seed,
        )
        for drawn in sets
    ]
    means = {metric: float(np.mean([one[metric] for one in figures])) for metric in figures[0]}
    spread = {
        metric: float(np.std([one[metric] for one in figures], ddof=1)) if len(seeds) > 1 else 0.0 for metric in means
    }
    error = frechet_standard_error(real, sets[0], config.bootstrap_replicates, config.seed)
    protocol = Protocol(
        extractor=extractor.name,
        extractor_digest=extractor.digest,
        resize=extractor.resize,
        reference=config.reference,
        reference_digest=dataset.manifest.digest,
        reference_count=real.count,
        samples=config.samples,
        sampling_seeds=seeds,
        kid_subsets=config.kid_subsets,
        kid_subset_size=kid_subset_size,
    )
    evaluation = Evaluation(
        format=1,
        scores={score_name(metric, extractor.name): value for metric, value in means.items()},
        spread={score_name(metric, extractor.name): value for metric, value in spread.items()},
        standard_errors={score_name("fd", extractor.name): error},
        extractor_accuracy=extractor.accuracy,
        warnings=tuple(warnings(real.count, config.samples, extractor.size, means)),
        protocol=protocol,
        images_seen=generator.metadata.images_seen,
        dataset_digest=generator.metadata.dataset_digest,
        tracking_run_id=generator.metadata.tracking_run_id,
    )
    known = gallery.Collection(dataset.split("train"), features["train"])
    shown = gallery.Collection(GeneratedImages(generator, config.samples, config.seed), sets[0])
    reference = gallery.Collection(dataset.split(config.reference), real)
    best, worst = gallery.extremes(reference, shown)
    exhibits = Exhibits(
        subtitle=f"{arguments.generated} against {real.count} {config.reference} images of {dataset.manifest.source}",
        samples=gallery.samples(shown),
        best=best,
        worst=worst,
        classes=gallery.classes([entry.name for entry in dataset.manifest.classes], extractor, reference, shown),
        suspects=gallery.suspects(known, shown, "training image"),
        known="training image",
        journeys=gallery.journeys(generator, config.seed),
        charts=training_charts(arguments.history) if arguments.history else [],
        lineage={k: str(v) for k, v in generator.metadata.model_dump().items()},
    )
    return evaluation, exhibits


def _table(evaluation: Evaluation) -> str:
    width = max(len(name) for name in evaluation.scores)
    lines = [
        f"{name:<{width}}  {value:>12.5g} ± {evaluation.spread[name]:.2g}" for name, value in evaluation.scores.items()
    ]
    return "\n".join([*lines, *(f"warning: {sentence}" for sentence in evaluation.warnings)])


if __name__ == "__main__":
    run(main)
