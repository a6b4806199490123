"""Describes a generator and the versions that trained it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from gan_core.data.prepared import PreparedDataset
from gan_core.generator import GeneratorMetadata

if TYPE_CHECKING:
    from gan_core.training.state import Gan


def describe_generator(gan: Gan, dataset: PreparedDataset) -> GeneratorMetadata:
    """Returns the metadata of the averaged generator in its current state.

    >>> metadata = describe_generator(gan, dataset)
    >>> metadata.images_seen, metadata.classes[:3]
    (80, ('0', '1', '2'))
    """
    classes = dataset.manifest.classes if gan.classes else ()
    seen = [1 if gan.config.balanced_classes else one.train for one in classes]
    return GeneratorMetadata(
        format=1,
        latent_size=gan.config.latent_size,
        shape=dataset.manifest.shape,
        codec=dataset.manifest.codec,
        classes=tuple(one.name for one in classes),
        class_shares=tuple(count / sum(seen) for count in seen),
        paired=gan.config.paired,
        images_seen=gan.images_seen,
        collapsed=False,
        dataset_digest=dataset.manifest.digest,
        dataset_source=dataset.manifest.source,
        parameters=gan.config.model_dump(mode="json"),
        tracking_run_id=None,
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that determine a training's course."""
    import keras
    import numpy as np
    import tensorflow as tf

    packages = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
    return {"python": platform.python_version(), **packages}
