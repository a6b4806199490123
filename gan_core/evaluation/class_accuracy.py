"""Class accuracy: the shares of real and of generated examples that a classifier assigns to their own class.

The classifier is the extractor `classifier`, which is trained on real training examples. A generator whose examples
belong to the requested class reaches the accuracy on real held-out examples; the variety of its examples has no effect.

Reference: Shmelkov, Schmid and Alahari 2018, arXiv 1807.09499 (GAN-test).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.config import EvaluateConfig
from gan_core.evaluation.accuracy_record import ClassAccuracy, Recognised
from gan_core.evaluation.extractors.classifier import IMAGES_SHOWN, ClassifierExtractor, train_classifier
from gan_core.evaluation.extractors.features import Counting, Extractor, FeatureSet, extract_cached, silently
from gan_core.evaluation.feature_extraction import ExtractedFeatures
from gan_core.evaluation.parts import Draw, RunParts, Side, extract_sets


def class_accuracy(
    config: EvaluateConfig,
    extractor: Extractor,
    extracted: ExtractedFeatures,
    cache: str | Path,
    counting: Counting = silently,
    *,
    run_parts: RunParts | None = None,
) -> ClassAccuracy | None:
    """Classifies the held-out and the generated examples of an evaluation.

    Args:
        config: parameters of the evaluation.
        extractor: the extractor of the features. If it is not `classifier`, that is trained, or read from the cache.
        extracted: both sides of the evaluation.
        cache: folder for cached results.
        counting: shows the progress.
        run_parts: classifies the generated examples elsewhere; None for this process.

    Returns:
        None if the examples have no classes, the generator is unconditional, or the reference is not held out.
    """
    sides, draws = extracted.sides, extracted.generated.draws
    dataset, labels = sides.dataset, sides.real.labels if sides.real else None
    if dataset is None or sides.real is None or sides.real.name != "held_out" or labels is None:
        return None
    if draws[0].labels is None or sum(entry.train > 0 for entry in dataset.manifest.classes) < 2:
        return None
    cache = Path(cache)
    if isinstance(extractor, ClassifierExtractor):
        classifier, generated = extractor, [draw.features for draw in draws]
    else:
        with counting(IMAGES_SHOWN, "classifier") as advance:
            classifier = train_classifier(dataset, cache, advance)
        with counting(sum(draw.images.count for draw in draws), "generated, to classify") as advance:
            seeds = extracted.generated.seeds
            places: list[Side | Draw] = [Draw(sides.generated_path, seed) for seed in seeds] or ["generated"]
            sets = list(zip((draw.images for draw in draws), places, strict=True))
            config = config.model_copy(update={"extractor": classifier.name})
            generated = list(extract_sets(config, sides, classifier, sets, advance, run_parts=run_parts))

    content = {"digest": sides.real.digest, "name": sides.real.name}
    batches, codec, through_codec = sides.real.images.batches, codec_of(dataset.manifest), None
    real = extract_cached(classifier, batches(config.batch_size), content, cache)
    if codec.lossy:
        decoded = map(functools.partial(codec.perceived, by=codec), batches(config.batch_size))
        through_codec = extract_cached(classifier, decoded, content | {"perceived_by": sides.real.digest}, cache)

    def recognised(sets: Sequence[FeatureSet], labels: Sequence[NDArray[np.integer]]) -> tuple[Recognised, ...]:
        known = np.concatenate([own[: len(one.features)] for one, own in zip(sets, labels, strict=True)])
        predicted = np.concatenate([classifier.probabilities(one.features).argmax(axis=1) for one in sets])
        return tuple(
            Recognised(correct=int((predicted[known == label] == label).sum()), count=int((known == label).sum()))
            for label in range(len(sides.classes))
        )

    return ClassAccuracy(
        classes=sides.classes,
        real=recognised([real], [labels]),
        codec=recognised([through_codec], [labels]) if through_codec else None,
        generated=recognised(generated, [draw.labels for draw in draws if draw.labels is not None]),
    )
