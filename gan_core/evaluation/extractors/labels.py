"""The labels that the extractor `classifier` needs. Imports no TensorFlow, so the check is immediate."""

from __future__ import annotations

from gan_core.codecs import codec_of
from gan_core.codecs.image import ImageCodec
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.score_meanings import score_name


def has_labels(dataset: PreparedDataset | None) -> bool:
    """Whether at least two classes have training images, so that the extractor `classifier` can be trained."""
    return dataset is not None and sum(entry.train > 0 for entry in dataset.manifest.classes) >= 2


def require_labels(dataset: PreparedDataset | None) -> PreparedDataset:
    """Returns the data set after checking that the extractor `classifier` can be trained on its labels.

    Raises:
        InvalidInput: there is no prepared data set, or fewer than two of its classes have training images.
    """
    classes = [entry for entry in dataset.manifest.classes if entry.train] if dataset else []
    if dataset is None or not has_labels(dataset):
        extractors = codec_of(dataset.manifest).extractors if dataset else ImageCodec.extractors
        untrained = extractors[1]
        downloaded = "".join(
            f"; or set it to {name!r}, which requires its weights, and register.score to {score_name('fd', name)}"
            for name in ("inception", "dinov2", "vggish")
            if name in extractors
        )
        received = (
            f"{len(classes)} classes with training {codec_of(dataset.manifest).item}s in {dataset.folder}"
            if dataset
            else "only images"
        )
        raise InvalidInput(
            "The extractor 'classifier' is trained on labels, so it requires a prepared data set with at least two "
            "classes. Either prepare data with classes, such as class subfolders; or set evaluate.extractor to "
            f"auto, or to {untrained!r}, which needs neither labels nor weights, and register.score to "
            f"fd_{untrained}{downloaded}. "
            f"Received: evaluate.extractor='classifier', {received}"
        )
    return dataset
