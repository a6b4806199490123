"""Compares new data with the data that the champion was trained on, and says whether to train again.

Both are prepared data sets of the same modality, images of the same shape. The features are those of the evaluation's
extractor; if this is `classifier`, it is trained on the reference. The exit code is 0 for either answer; with
--exit-code it is 3 if the data has drifted.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.cache_folder import cache_folder
from components.storage.outputs import whole_output
from gan_core.exit_codes import run

if TYPE_CHECKING:
    from gan_core.config import DriftConfig, EvaluateConfig
    from gan_core.data.prepared import PreparedDataset
    from gan_core.evaluation.drift_detection import Drift

DRIFTED = 3


def main() -> None:
    """Reads the command line, compares, and writes the record."""
    arguments = parser().parse_args()

    from gan_core.config import DriftConfig, EvaluateConfig
    from gan_core.data.prepared import PreparedDataset

    config = read_section(arguments.config, DriftConfig)
    evaluation = read_section(arguments.config, EvaluateConfig)
    with paths.local_paths(arguments) as local:
        reference, data = PreparedDataset(local.reference), PreparedDataset(local.data)
        drift = compare(config, evaluation, reference, data, local.cache)
        with whole_output(local.record) as file:
            file.write_text(drift.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print("drifted" if drift.drifted else "not drifted", *drift.reasons, sep="\n  ")
    if drift.drifted and arguments.exit_code:
        sys.exit(DRIFTED)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.drift", description=__doc__)
    add = options.add_argument
    add("--config", default="params.yaml", help="params.yaml with the sections drift and evaluate")
    add("--reference", type=paths.input_path, required=True, help="prepared data set that the champion was trained on")
    add("--data", type=paths.input_path, required=True, help="new prepared data set")
    add("--record", type=paths.output(kinds.DRIFT), required=True, help="output: the comparison, .json")
    add("--exit-code", action="store_true", help=f"exit with code {DRIFTED} if the data has drifted")
    add("--cache", type=paths.local_path, default=cache_folder(), help="folder for cached results")
    return options


def compare(
    config: DriftConfig, evaluation: EvaluateConfig, reference: PreparedDataset, data: PreparedDataset, cache: Path
) -> Drift:
    """Compares the features of the held-out images, the classes of all images, and the symbols of all texts.

    Features come from held-out images only, because the classifier was trained on the reference's training images.

    Raises:
        InvalidInput: the images' shapes differ, or too few images are held out.
    """
    from gan_core.codecs import codec_of
    from gan_core.evaluation.drift_detection import block_distance, decide, require_comparable, unchanged

    if reference.manifest.digest == data.manifest.digest:
        return unchanged(config, data.manifest.digest)
    require_comparable(config, reference.manifest, data.manifest)
    configure_tensorflow()

    from components.cli.progress import counting
    from gan_core.evaluation.extractors.build import build_extractor
    from gan_core.evaluation.extractors.features import extract_cached
    from gan_core.evaluation.unwritable import find_unwritable

    common, features = codec_of(reference.manifest), []
    counted = functools.partial(counting, unit=f"{common.item}s")
    extractor = build_extractor(evaluation, reference, cache, counted)
    for side, name in ((reference, "reference"), (data, "data")):
        images = side.split("held_out")
        content = {"digest": side.manifest.digest, "name": "held_out"}
        batches, codec = images.batches(evaluation.batch_size), codec_of(side.manifest)
        if codec.lossy or codec != common:
            # Two codecs are fitted to different items. So both sides are decoded, and stored by the reference's codec.
            batches = map(functools.partial(codec.perceived, by=common), batches)
            content["perceived_by"] = reference.manifest.digest
        with counted(images.count, name) as advance:
            kept = extract_cached(extractor, batches, content, cache, advance)
        features.append(kept.features)
    distance = block_distance(features[0], features[1], config, evaluation.seed)
    unwritable = find_unwritable(reference, data)
    return decide(config, extractor.name, reference.manifest, data.manifest, distance, unwritable=unwritable)


if __name__ == "__main__":
    run(main)
