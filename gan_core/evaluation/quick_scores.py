"""Quick scores of a generator during training: scores of the evaluation from fewer images and one sampling seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gan_core.codecs import codec_of
from gan_core.data.prepared import PreparedDataset
from gan_core.evaluation.extractors.classifier import train_classifier
from gan_core.evaluation.extractors.features import Extractor, extract, extract_cached
from gan_core.evaluation.extractors.labels import has_labels
from gan_core.evaluation.extractors.untrained import untrained_extractor
from gan_core.evaluation.images import GeneratedImages
from gan_core.evaluation.metrics.frechet import frechet_distance
from gan_core.evaluation.metrics.neighbours import precision_recall
from gan_core.evaluation.score_meanings import score_name
from gan_core.generator import Generator
from gan_core.metric_names import quick_score

_BATCH_SIZE = 256
# Seed of the latents. It differs from the evaluation's seeds, which count up from evaluate.seed, because the latents
# that select the best generator must not be those that evaluate it.
_SEED = 2**31 - 1


def scorer(
    generator: Generator, dataset: PreparedDataset, samples: int, cache: Path
) -> Callable[[], Mapping[str, float]]:
    """Returns a function that scores `generator` in its current state by Fréchet distance, precision and recall.

    The features are those of the extractor `classifier`, or of an untrained one if there are fewer than two classes.
    They are compared with the features of the held-out images. The Fréchet distance comes first.

    Args:
        generator: the generator, whose weights may change between calls.
        dataset: the prepared data.
        samples: number of images to draw; precision and recall use at most this number of real images.
        cache: folder for cached results.
    """
    untrained = codec_of(dataset.manifest).extractors[1]
    extractor: Extractor = train_classifier(dataset, cache) if has_labels(dataset) else untrained_extractor(untrained)
    held_out = dataset.split("held_out")
    content = {"digest": dataset.manifest.digest, "name": "held_out"}
    real = extract_cached(extractor, held_out.batches(_BATCH_SIZE), content, cache)
    inputs = (lambda indices: held_out.inputs(indices % held_out.count)) if generator.metadata.paired else None

    def score() -> Mapping[str, float]:
        drawn = extract(extractor, GeneratedImages(generator, samples, _SEED, inputs).batches(_BATCH_SIZE))
        precision, recall = precision_recall(real.features[:samples], drawn.features)
        scores = {
            "fd": frechet_distance(real.mean, real.covariance, drawn.mean, drawn.covariance),
            "precision": precision,
            "recall": recall,
        }
        return {quick_score(score_name(metric, extractor.name)): value for metric, value in scores.items()}

    return score
