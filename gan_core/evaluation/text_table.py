"""Scores of generated texts in one table with those of a language model of the same data and of real texts.

Scores of texts by themselves mislead: an n-gram model, which no one would call a good generator, reaches values that
look good. So a generator's scores always stand next to those of such a model.

Reference: Semeniuta et al. 2018, arXiv 1806.04936 (reverse language model score, and the comparison).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.features import extract
from gan_core.evaluation.extractors.ngram import NgramExtractor
from gan_core.evaluation.language_model import LanguageModel
from gan_core.evaluation.metrics.frechet import frechet_distance
from gan_core.evaluation.metrics.ngrams import jensen_shannon
from gan_core.evaluation.metrics.texts import compared, nearest, novel_share, unique_share, valid
from gan_core.evaluation.text_record import TextColumn, TextTable

SEARCHED = 200
"""Number of texts whose nearest training text is searched."""
_BATCH = 4096


def text_table(
    generated: Sequence[NDArray[np.uint8]],
    model: LanguageModel,
    train: NDArray[np.uint8],
    held_out: NDArray[np.uint8],
    seed: int = 0,
    *,
    only_distances: bool = False,
) -> TextTable:
    """Scores generated texts, a language model's and real ones.

    The held-out texts are divided at random into two halves, once for each sampling seed. The second half of the first
    division is the reference of the generated texts and of the model's. The column `real` compares the two halves of
    each division; these differences are nearly uncorrelated, although the texts are the same.

    Args:
        generated: texts [N, length] for each sampling seed.
        model: a language model of the training texts.
        train: the training texts [N, length].
        held_out: other real texts.
        seed: first seed of the divisions and of the model's samples.
        only_distances: compute only the scores in LOWER_IS_BETTER.

    Raises:
        InvalidInput: there are fewer than 2 texts in a set.
    """
    count = min(len(held_out) // 2, *(len(texts) for texts in generated))
    if count < 2:
        raise InvalidInput(f"Texts are scored with at least 2 of them and 4 held-out ones. Received: {count} of a set")
    seeds = range(seed, seed + len(generated))
    divided = [np.random.Generator(np.random.Philox(key=key)).permutation(held_out)[: 2 * count] for key in seeds]
    halves = [np.split(texts, 2) for texts in divided]
    reference = halves[0][1]
    searched = compared(reference[:SEARCHED], train)

    def column(pairs: Iterable[Sequence[NDArray[np.uint8]]]) -> TextColumn:
        scores = [
            distances(texts[:count], against, model)
            | ({} if only_distances else shares(texts[:count], train, model.symbols))
            for texts, against in pairs
        ]
        values = {name: [one[name] for one in scores] for name in scores[0]}
        deviations = {name: float(np.std(found, ddof=1)) if len(found) > 1 else 0.0 for name, found in values.items()}
        return TextColumn(means={name: float(np.mean(found)) for name, found in values.items()}, deviations=deviations)

    return TextTable(
        generated=column((texts, reference) for texts in generated),
        language_model=column((model.sample(count, key), reference) for key in seeds),
        real=column(halves),
        count=count,
        order=model.order,
        discount=model.discount,
        compared=None if only_distances or searched == len(train) else searched,
    )


def distances(texts: NDArray[np.uint8], reference: NDArray[np.uint8], model: LanguageModel) -> dict[str, float]:
    """Returns the scores in LOWER_IS_BETTER of texts [N, length] against as many real texts.

    `fd_ngram`: Fréchet distance of hashed n-gram counts. `jensen_shannon_1` to `_4`: divergence of n-grams, in bits.
    `reverse_bits`: bits per character of the reference under a language model of the texts, of the same order and
    discount as `model`.
    """
    extractor = NgramExtractor()
    sides = [
        extract(extractor, (one[start : start + _BATCH, :, None, None] for start in range(0, len(one), _BATCH)))
        for one in (texts, reference)
    ]
    reverse = LanguageModel(texts, model.symbols, model.order, model.discount)
    return {
        "fd_ngram": frechet_distance(*(part for side in sides for part in (side.mean, side.covariance))),
        **{f"jensen_shannon_{length}": jensen_shannon(texts, reference, length) for length in range(1, 5)},
        "reverse_bits": reverse.bits_per_character(reference),
    }


def shares(texts: NDArray[np.uint8], train: NDArray[np.uint8], symbols: int) -> dict[str, float]:
    """Returns what can be said of texts [N, length] without other real texts than the training texts.

    `valid`, `unique`, `novel`: shares of texts. `edit_distance`: mean distance of the first SEARCHED texts to the
    nearest training text.
    """
    return {
        "valid": float(valid(texts, symbols).mean()),
        "unique": unique_share(texts),
        "novel": novel_share(texts, train),
        "edit_distance": float(nearest(texts[:SEARCHED], train)[0].mean()),
    }
