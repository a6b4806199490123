"""The description of a generator that a benchmark builds."""

from __future__ import annotations

from gan_core.generator import GeneratorMetadata


def generator_metadata(latent_size: int, shape: tuple[int, int, int], classes: int) -> GeneratorMetadata:
    """Returns the metadata of an untrained generator of images with this number of equally frequent classes."""
    return GeneratorMetadata(
        format=1,
        latent_size=latent_size,
        shape=shape,
        classes=tuple(map(str, range(classes))),
        class_shares=(1 / classes,) * classes if classes else (),
        images_seen=0,
        collapsed=False,
        dataset_digest="",
        dataset_source="benchmark",
        parameters={},
        tracking_run_id=None,
        versions={},
    )
