"""Generator metadata and untrained generators for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recipes import small_parameters

from gan_core.generator import GeneratorMetadata


def generator_metadata(**changes: Any) -> GeneratorMetadata:
    """Returns the metadata of a small grey generator without classes, with `changes`."""
    values: dict[str, Any] = {
        "format": 1,
        "latent_size": 4,
        "shape": (16, 16, 1),
        "classes": (),
        "images_seen": 64,
        "collapsed": False,
        "dataset_digest": f"sha256-{'0' * 64}",
        "dataset_source": "synthetic",
        "parameters": {},
        "tracking_run_id": None,
        "versions": {},
    }
    return GeneratorMetadata(**(values | changes))


def untrained_generator(dataset: Path, folder: Path, **train: Any) -> Path:
    """Writes an untrained generator of a prepared data set, with the data's classes; `train` are its parameters."""
    from gan_core.codecs import codec_of
    from gan_core.config import TrainConfig
    from gan_core.data.prepared import PreparedDataset
    from gan_core.export import save_generator
    from gan_core.training.describe import describe_generator
    from gan_core.training.state import Gan

    prepared = PreparedDataset(dataset)
    manifest = prepared.manifest
    config = TrainConfig.parse(small_parameters(**train)).resolved(labelled=bool(manifest.classes))
    classes = len(manifest.classes) if config.takes_labels else 0
    gan = Gan(config, manifest.shape, classes, symbols=codec_of(manifest).symbols)
    save_generator(folder, gan.averaged_generator, describe_generator(gan, prepared))
    return folder
