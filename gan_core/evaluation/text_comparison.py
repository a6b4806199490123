"""Compares an evaluation's generated texts with a language model of the same data."""

from __future__ import annotations

import numpy as np

from gan_core.config import EvaluateConfig
from gan_core.evaluation.classes import MOST_CLASSES
from gan_core.evaluation.feature_extraction import ExtractedFeatures
from gan_core.evaluation.language_model import LanguageModel
from gan_core.evaluation.text_record import TextTable
from gan_core.evaluation.text_table import text_table

FEWEST_TRAINING, FEWEST_HELD_OUT, FEWEST_GENERATED = 2, 4, 2
FEWEST_OF_A_CLASS = 20
"""Minimum number of a class's texts in each set that is scored."""
NOT_COMPARED = (
    "The generated texts are not compared with a language model. That needs a prepared data set with at least "
    f"{FEWEST_TRAINING} training texts and {FEWEST_HELD_OUT} held-out ones, and at least {FEWEST_GENERATED} generated "
    "texts."
)


def compare_texts(config: EvaluateConfig, extracted: ExtractedFeatures, symbols: int) -> TextTable | None:
    """Returns the scores of the generated texts, of a language model's and of real ones.

    None if there are too few texts, or the real ones are not a prepared data set.

    If the generator was given classes, each class with enough texts is also compared with a language model of its own.

    Args:
        config: parameters of the evaluation.
        extracted: both sides of the evaluation.
        symbols: number of different codes of the data, with the end mark.
    """
    sides, draws = extracted.sides, extracted.generated.draws
    if sides.dataset is None:
        return None
    splits = [sides.dataset.split(name) for name in ("train", "held_out")]
    train, held_out = (split.images(np.arange(split.count))[:, :, 0, 0] for split in splits)
    generated = [np.concatenate(list(one.images.batches(config.batch_size)))[:, :, 0, 0] for one in draws]
    if len(train) < FEWEST_TRAINING or len(held_out) < FEWEST_HELD_OUT or len(generated[0]) < FEWEST_GENERATED:
        return None
    model = LanguageModel.chosen(train, symbols - 1)
    whole = text_table(generated, model, train, held_out, config.seed)
    labels = [one.labels for one in draws if one.labels is not None]
    if len(labels) < len(draws):
        return whole
    of_train, of_held_out = (split.labels(np.arange(split.count)) for split in splits)
    classes = {}
    for label, name in enumerate(sides.classes[:MOST_CLASSES]):
        own, real = train[of_train == label], held_out[of_held_out == label]
        drawn = [texts[given == label] for texts, given in zip(generated, labels, strict=True)]
        if min(len(own), len(real) // 2, *map(len, drawn)) >= FEWEST_OF_A_CLASS:
            model = LanguageModel.chosen(own, symbols - 1)
            classes[name] = text_table(drawn, model, own, real, config.seed, only_distances=True)
    left_out = tuple(name for name in sides.classes if name not in classes)
    return whole.model_copy(update={"classes": classes, "left_out": left_out})
