"""Generator metadata for the tests."""

from __future__ import annotations

from typing import Any

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
