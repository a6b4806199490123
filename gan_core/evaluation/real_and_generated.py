"""Opens the real and the generated side of an evaluation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.codecs.codec import Codec
from gan_core.codecs.image import ImageCodec
from gan_core.config import EvaluateConfig
from gan_core.data.folders import is_marked
from gan_core.data.manifest import Split
from gan_core.data.prepared import ImageSplit, PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.image_files import FileImages
from gan_core.evaluation.images import Images
from gan_core.evaluation.requirements import require_extractor, require_images, with_extractor
from gan_core.export import read_metadata
from gan_core.generator import Conditions, GeneratorMetadata
from gan_core.output_files import MANIFEST_FILE, MANIFEST_KEYS, METADATA_FILE, METADATA_KEYS


@dataclass(frozen=True)
class StoredImages:
    """Images on disk.

    Attributes:
        name: the split of a prepared data set, or `files`.
        digest: `sha256-<hex>` of their content.
        images: the images.
        classes: class names in label order; empty if the images have no labels.
    """

    name: str
    digest: str
    images: Images
    classes: tuple[str, ...] = ()

    @property
    def labels(self) -> NDArray[np.integer] | None:
        """Labels of the images, [count]; None if they have none."""
        return (
            self.images.labels(np.arange(self.images.count))
            if isinstance(self.images, ImageSplit) and self.classes
            else None
        )


@dataclass(frozen=True)
class Sides:
    """The real and the generated side of an evaluation, with images that are not decoded yet.

    Attributes:
        real_path: the path given as `--real`.
        generated_path: the path given as `--generated`.
        real: reference images; None if `real_path` is a file of statistics.
        training: the training images; None if they are unknown or are `real`.
        dataset: the prepared data set that contains `real`; None if there is none.
        generator: the generator's metadata; None if images are given instead of a generator.
        generated: generated images; None if they are still to be drawn from the generator.
        inputs: returns input images of the reference's pairs by index, modulo their number; None without pairs.
    """

    real_path: Path
    generated_path: Path
    real: StoredImages | None
    training: StoredImages | None
    dataset: PreparedDataset | None
    generator: GeneratorMetadata | None
    generated: StoredImages | None
    inputs: Conditions | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the prepared data set, in label order."""
        return _class_names(self.dataset) if self.dataset else ()

    @property
    def codec(self) -> Codec | None:
        """The codec of the prepared data set or of the generator; None if images in files are on both sides."""
        described = self.dataset.manifest if self.dataset else self.generator
        return codec_of(described) if described else None

    @property
    def item(self) -> str:
        """The codec's word for an example. Files are images."""
        return (self.codec or ImageCodec).item


def open_sides(real: str | Path, generated: str | Path, config: EvaluateConfig) -> Sides:
    """Opens both sides.

    Raises:
        InvalidInput: a path is not an input of an evaluation or contains no image, or the modalities or the image
            sizes of the two sides differ.

    >>> sides = open_sides(Path("data"), Path("generator"), evaluate_config)
    >>> sides.real.name, sides.real.images.count, sides.generator.images_seen
    ('held_out', 475, 80)
    """
    real, generated = Path(real), Path(generated)
    for path in (real, generated):
        if not path.exists():
            raise InvalidInput(
                "The images of an evaluation must be a prepared data set, a generator, or a folder or .zip of images: "
                f"there is no such file or folder. Received: {path}"
            )
    dataset = PreparedDataset(real) if _is_prepared(real) else None
    generator = read_metadata(generated) if is_marked(generated, METADATA_FILE, METADATA_KEYS) else None
    described = generator or (PreparedDataset(generated).manifest if _is_prepared(generated) else None)
    if dataset and described and codec_of(dataset.manifest).modality != codec_of(described).modality:
        raise InvalidInput(
            "Real and generated examples must be of the same modality. Received: "
            f"{codec_of(dataset.manifest).modality} in {real}, {codec_of(described).modality} in {generated}"
        )
    if dataset and generator and dataset.manifest.shape != generator.shape:
        raise InvalidInput(
            f"Real and generated examples must have the same shape. Received: {dataset.manifest.shape} in {real}, "
            f"{generator.shape} in {generated}"
        )
    if (dataset and dataset.manifest.codec) != (described and described.codec):
        raise InvalidInput(
            "Real and generated data must have the same codec: both must be prepared data, or a generator that was "
            f"trained on the same prepared data. Received: {real} and {generated}"
        )
    # Files are images of any size.
    config = with_extractor(config, dataset)
    require_extractor(config.extractor, codec_of(dataset.manifest) if dataset else ImageCodec(shape=(1, 1, 1)))
    inputs = _inputs(dataset, config.reference)
    if generator and generator.paired and inputs is None:
        raise InvalidInput(
            "A paired generator can only be evaluated on a prepared data set with pairs (prepare.image.pairs). "
            f"Received: {real}"
        )
    by_statistics = _is_statistics(real)
    training = _open(real, "train", ("memorisation",)) if dataset and config.reference != "train" else None
    _require_computable(config.metrics, by_statistics=by_statistics, training=training)
    if generator:
        require_images(config.samples, "generated", "evaluate.samples", config.metrics)
    return Sides(
        real_path=real,
        generated_path=generated,
        real=None if by_statistics else _open(real, config.reference, config.metrics),
        training=training,
        dataset=dataset,
        generator=generator,
        generated=None if generator else _open(generated, config.reference, config.metrics),
        inputs=inputs,
    )


def _require_computable(metrics: Collection[str], *, by_statistics: bool, training: StoredImages | None) -> None:
    if by_statistics and set(metrics) != {"fid"}:
        raise InvalidInput(
            "If only statistics of the real images are given, only the metric 'fid' can be computed: pass --metrics "
            f"fid, or pass the images. Received: evaluate.metrics={list(metrics)}"
        )
    if training is None and set(metrics) == {"memorisation"}:
        raise InvalidInput(
            "The metric 'memorisation' requires a prepared data set whose training examples are not the reference. "
            f"Received: evaluate.metrics={list(metrics)}"
        )


def _is_prepared(path: Path) -> bool:
    return is_marked(path, MANIFEST_FILE, MANIFEST_KEYS)


def _class_names(dataset: PreparedDataset) -> tuple[str, ...]:
    return tuple(entry.name for entry in dataset.manifest.classes)


def _is_statistics(real: Path) -> bool:
    if real.suffix != ".npz" or real.is_dir():
        return False
    if not real.is_file():
        raise InvalidInput(f"The file of statistics must be a regular file. Received: {real}")
    return True


def _inputs(dataset: PreparedDataset | None, split: Split) -> Conditions | None:
    if dataset is None or not (images := dataset.split(split)).paired:
        return None
    return lambda indices: images.inputs(indices % images.count)


def _open(path: Path, split: Split, metrics: Collection[str]) -> StoredImages:
    """Opens the images at `path`, if there are enough of them for `metrics`."""
    if not _is_prepared(path):
        files = FileImages(path)
        stored = StoredImages("files", files.digest, files)
    else:
        dataset = PreparedDataset(path)
        stored = StoredImages(split, dataset.manifest.digest, dataset.split(split), _class_names(dataset))
    require_images(stored.images.count, stored.name, path, metrics)
    return stored
