"""Compares an evaluation's generated texts with a language model of the same data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.config import EvaluateConfig
from gan_core.data.prepared import ImageSplit
from gan_core.evaluation.feature_extraction import ExtractedFeatures
from gan_core.evaluation.language_model import LanguageModel
from gan_core.evaluation.text_record import TextTable
from gan_core.evaluation.text_table import text_table

FEWEST_TRAINING, FEWEST_HELD_OUT, FEWEST_GENERATED = 2, 4, 2


def compare_texts(config: EvaluateConfig, extracted: ExtractedFeatures, symbols: int) -> TextTable | None:
    """Returns the scores of the generated texts, of a language model's and of real ones; None with too few texts.

    Args:
        config: parameters of the evaluation.
        extracted: both sides of the evaluation.
        symbols: number of different codes of the data, with the end mark.
    """
    sides = extracted.sides
    if sides.dataset is None:
        return None
    train, held_out = (_codes(sides.dataset.split(name)) for name in ("train", "held_out"))
    drawn = [draw.images.batches(config.batch_size) for draw in extracted.generated.draws]
    generated = [np.concatenate(list(batches))[:, :, 0, 0] for batches in drawn]
    if len(train) < FEWEST_TRAINING or len(held_out) < FEWEST_HELD_OUT or len(generated[0]) < FEWEST_GENERATED:
        return None
    return text_table(generated, LanguageModel.chosen(train, symbols - 1), train, held_out, config.seed)


def _codes(split: ImageSplit) -> NDArray[np.uint8]:
    return split.images(np.arange(split.count))[:, :, 0, 0]
