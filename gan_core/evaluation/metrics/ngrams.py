"""n-grams of texts as numbers: up to eight symbols in the eight bytes of an integer.

A text is a row of codes, uint8 [length]: symbols from 1, then 0 to the end. What follows the first 0 does not belong to
the text. An n-gram may begin with the mark before a text and end with the mark after it; both are 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LONGEST = 8


class Ngrams(NamedTuple):
    """The n-grams of a set of texts that end at each of their symbols and end marks, in the order of the texts.

    Attributes:
        packed: uint64 [N], the `LONGEST` symbols that end here, the last one in the lowest byte; 0 before the text.
        preceding: int64 [N], the number of symbols between the mark before the text and this one.
        text: int64 [N], the position of the text.
    """

    packed: NDArray[np.uint64]
    preceding: NDArray[np.int64]
    text: NDArray[np.int64]

    def of_length(self, length: int) -> NDArray[np.uint64]:
        """The n-grams of `length` symbols, of which only the first may be the mark before a text."""
        return self.packed[self.preceding >= length - 2] & mask(length)


def mask(length: int) -> np.uint64:
    """The bits of `length` symbols."""
    return np.uint64(2 ** (8 * length) - 1)


def lengths(texts: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the number of symbols before the first 0 of each text, int64 [B], for texts [B, length]."""
    ended = np.pad(texts == 0, ((0, 0), (0, 1)), constant_values=True)
    first: NDArray[np.int64] = ended.argmax(axis=1)
    return first


def ngrams(texts: NDArray[np.uint8]) -> Ngrams:
    """Returns the n-grams of texts [B, length] uint8."""
    places = np.arange(texts.shape[1] + 1)
    last = lengths(texts)[:, None]
    codes = np.where(places < last, np.pad(texts, ((0, 0), (0, 1))), 0).astype(np.uint64)
    packed = np.zeros(codes.shape, np.uint64)
    running = np.zeros(len(codes), np.uint64)
    for place in places:
        running = (running << np.uint64(8)) | codes[:, place]
        packed[:, place] = running
    text, preceding = np.nonzero(places <= last)
    return Ngrams(packed[text, preceding], preceding, text)


def jensen_shannon(texts: NDArray[np.uint8], others: NDArray[np.uint8], length: int) -> float:
    """Returns the Jensen-Shannon divergence of the n-grams of two sets of texts, in bits: 0 if equal, at most 1.

    It grows as the sets become smaller, so compare only values of sets of equal size.

    Reference: Lin 1991, "Divergence measures based on the Shannon entropy", equation 3.1.
    """
    found = [np.unique(ngrams(one).of_length(length), return_counts=True) for one in (texts, others)]
    every = np.union1d(found[0][0], found[1][0])
    shares = np.zeros((2, len(every)))
    for row, (grams, counts) in zip(shares, found, strict=True):
        row[np.searchsorted(every, grams)] = counts / counts.sum()
    mean = shares.mean(axis=0)
    ratios = np.divide(shares, mean, out=np.ones_like(shares), where=shares > 0)
    return float((shares * np.log2(ratios)).sum() / 2)
