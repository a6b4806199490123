"""An n-gram language model of texts with Kneser-Ney smoothing: a baseline that a generator of texts must beat.

P_n(w | h) = (max(c(h w) − D, 0) + D · N(h ·) · P_{n−1}(w | h′)) / c(h ·), where h′ is h without its first symbol and
N(h ·) the number of different symbols after h. In the highest order, and after the mark before a text, c counts
occurrences; otherwise it counts the different symbols before h w. P_0 is uniform over the symbols and the end mark.

Reference: Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 2.7
(interpolated Kneser-Ney).
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput
from gan_core.evaluation.metrics.ngrams import LONGEST, Ngrams, mask, ngrams

DISCOUNTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_ASIDE = 0.1
_SYMBOL_BITS = np.uint64(8)


class LanguageModel:
    """An n-gram language model.

    Args:
        texts: the training texts, codes uint8 [B, length] with 0 after the last symbol.
        symbols: number of symbols of the alphabet; their codes are 1..symbols.
        order: n, from 1 to 8.
        discount: D, between 0 and 1.

    Raises:
        InvalidInput: there is no text, or order or discount is outside its range.
    """

    def __init__(self, texts: NDArray[np.uint8], symbols: int, order: int, discount: float) -> None:
        if not (len(texts) and 1 <= order <= LONGEST and 0 < discount < 1):
            raise InvalidInput(
                f"A language model needs at least 1 text, an order from 1 to {LONGEST} and a discount between 0 and 1. "
                f"Received: {len(texts)} texts, order={order}, discount={discount}"
            )
        self.order, self.discount, self.symbols = order, discount, symbols
        self._length = texts.shape[1]
        self._counts = _Counts(ngrams(texts), order)

    @classmethod
    def chosen(cls, texts: NDArray[np.uint8], symbols: int, seed: int = 0) -> Self:
        """Returns a model of at least 2 texts, with the order and the discount that predict a tenth of them best.

        Order and discount are chosen with a model of the other nine tenths. Of equal ones the first is taken.
        """
        shuffled = np.random.Generator(np.random.Philox(key=seed)).permutation(len(texts))
        aside, rest = np.split(shuffled, [max(1, round(_ASIDE * len(texts)))])
        if not len(rest):
            raise InvalidInput(f"A language model is chosen with at least 2 texts. Received: {len(texts)}")
        found = ngrams(texts[aside])
        counts = _Counts(ngrams(texts[rest]), LONGEST).at(found)

        def bits(choice: tuple[int, float]) -> float:
            return -float(np.log2(_interpolated(counts, found, symbols, *choice)).mean())

        order, discount = min(product(range(1, LONGEST + 1), DISCOUNTS), key=bits)
        return cls(texts, symbols, order, discount)

    def probabilities(self, texts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the probability of each symbol and each end mark, given those before it, one text after the other."""
        found = ngrams(texts)
        return _interpolated(self._counts.at(found), found, self.symbols, self.order, self.discount)

    def bits_per_character(self, texts: NDArray[np.uint8]) -> float:
        """Returns −log₂ of the texts' probability, divided by the number of their symbols and end marks."""
        return -float(np.log2(self.probabilities(texts)).mean())

    def sample(self, count: int, seed: int) -> NDArray[np.uint8]:
        """Draws texts, codes uint8 [count, length]. One that has not ended at the training texts' length is cut there.

        The first n texts are the same for every count ≥ n.
        """
        uniforms = np.random.Generator(np.random.Philox(key=seed)).random((count, self._length, self.order + 1))
        texts = np.zeros((count, self._length), np.uint8)
        history, going = np.zeros(count, np.uint64), np.arange(count)
        for place in range(self._length):
            symbols = self._next(history[going], place, uniforms[going, place])
            texts[going, place] = symbols
            history[going] = (history[going] << _SYMBOL_BITS) | symbols
            going = going[symbols > 0]
        return texts

    def _next(self, history: NDArray[np.uint64], place: int, uniforms: NDArray[np.float64]) -> NDArray[np.uint64]:
        """Draws the symbol at `place` after each history: from a context's own counts, or from a shorter context."""
        symbols = (uniforms[:, 0] * (self.symbols + 1)).astype(np.uint64)
        undecided = np.ones(len(history), bool)
        longest = min(self.order, place + 2)
        for length in range(longest, 0, -1):
            table = (self._counts.occurrences if length == longest else self._counts.continuations)[length - 1]
            row = table.row(history & mask(length - 1))
            first, types, draw = table.first[row], table.types[row], uniforms[:, length] * table.totals[row]
            chosen = undecided & (row >= 0) & (draw < table.totals[row] - self.discount * types)
            cumulative = table.cumulative - self.discount * np.arange(1, len(table.grams) + 1)
            before = cumulative[first] - (table.counts[first] - self.discount)
            gram = np.searchsorted(cumulative, before + draw, side="right").clip(first, first + types - 1)
            symbols[chosen] = table.grams[gram[chosen]] & mask(1)
            undecided &= ~chosen
        return symbols


class _Found(NamedTuple):
    """What a table says of n-grams: counts of each, counts of its context, and the different symbols after that."""

    counts: NDArray[np.float64]
    totals: NDArray[np.float64]
    types: NDArray[np.float64]


class _Table(NamedTuple):
    """Counts of n-grams of one length, sorted, and of their contexts, which are all symbols but the last."""

    grams: NDArray[np.uint64]
    counts: NDArray[np.int64]
    cumulative: NDArray[np.int64]  # counts up to and including each n-gram
    contexts: NDArray[np.uint64]
    first: NDArray[np.int64]  # position of a context's first n-gram
    types: NDArray[np.int64]
    totals: NDArray[np.int64]

    @classmethod
    def of(cls, occurrences: NDArray[np.uint64]) -> Self:
        grams, counts = np.unique(occurrences, return_counts=True)
        contexts, first, types = np.unique(grams >> _SYMBOL_BITS, return_index=True, return_counts=True)
        totals = np.add.reduceat(counts, first) if len(first) else counts
        return cls(grams, counts, counts.cumsum(), contexts, first, types, totals)

    def row(self, contexts: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The rows of contexts, −1 for an unknown one."""
        return _positions(self.contexts, contexts)

    def find(self, packed: NDArray[np.uint64]) -> _Found:
        gram, row = _positions(self.grams, packed), self.row(packed >> _SYMBOL_BITS)
        columns = (np.append(column, 0) for column in (self.counts, self.totals, self.types))  # row −1 is 0
        counts, totals, types = (column.astype(np.float64) for column in columns)
        return _Found(counts[gram], totals[row], types[row])


class _Counts:
    """Tables of n-grams: how often each occurs, and after how many different symbols."""

    def __init__(self, found: Ngrams, order: int) -> None:
        self.occurrences = [_Table.of(found.of_length(length)) for length in range(1, order + 1)]
        self.continuations = [
            _Table.of(longer.grams & mask(length)) for length, longer in enumerate(self.occurrences[1:], start=1)
        ]

    def at(self, found: Ngrams) -> list[tuple[_Found, _Found]]:
        """Occurrences and continuations of the n-grams of each length; the last length has no continuations."""
        packed = [found.packed & mask(length) for length in range(1, len(self.occurrences) + 1)]
        occurrences = [table.find(grams) for table, grams in zip(self.occurrences, packed, strict=True)]
        continuations = [table.find(grams) for table, grams in zip(self.continuations, packed, strict=False)]
        return list(zip(occurrences, [*continuations, occurrences[-1]], strict=True))


def _interpolated(
    counts: list[tuple[_Found, _Found]], found: Ngrams, symbols: int, order: int, discount: float
) -> NDArray[np.float64]:
    """The probability of the last symbol of each n-gram in `found`."""
    probabilities = np.full(len(found.packed), 1 / (symbols + 1))
    for length, (occurrences, continuations) in enumerate(counts[:order], start=1):
        # A context that begins before the text has nothing before it, so its occurrences count.
        highest = np.full(len(probabilities), length == order) | (found.preceding == length - 2)
        count, total, types = (np.where(highest, *both) for both in zip(occurrences, continuations, strict=True))
        known = (total > 0) & (found.preceding >= length - 2)
        interpolated = np.maximum(count - discount, 0) + discount * types * probabilities
        np.divide(interpolated, total, out=probabilities, where=known)
    return probabilities


def _positions(values: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The positions of the wanted numbers among sorted values, −1 for those that are absent."""
    if not len(values):
        return np.full(len(wanted), -1)
    positions = np.searchsorted(values, wanted).clip(max=len(values) - 1)
    return np.where(values[positions] == wanted, positions, -1)
