import itertools
from collections import Counter

import numpy as np
import pytest

from gan_core.evaluation.metrics.ngrams import jensen_shannon, lengths, ngrams

TEXTS = np.array([[1, 2, 1, 0], [2, 0, 0, 0], [1, 2, 3, 4], [0, 0, 0, 0], [3, 0, 7, 7]], np.uint8)
STRINGS = ["\0\1\2\1\0", "\0\2\0", "\0\1\2\3\4\0", "\0\0", "\0\3\0"]
"""The same texts between the marks before and after them."""


def counts(strings, length):
    """Counts by slicing; a mark is either the first symbol or the last."""
    grams = (string[end - length : end] for string in strings for end in range(2, len(string) + 1) if end >= length)
    return Counter(gram.encode("latin1") for gram in grams)


def test_a_text_ends_at_its_first_zero():
    assert lengths(TEXTS).tolist() == [3, 1, 4, 0, 1]


@pytest.mark.parametrize("length", range(1, 7))
def test_ngrams_equal_slices_of_the_texts_between_marks(length):
    found = ngrams(TEXTS).of_length(length)
    assert Counter(int(gram).to_bytes(8, "big")[8 - length :] for gram in found) == counts(STRINGS, length)


def test_eight_symbols_of_any_code_fit():
    text = np.array([[255, 254, 1, 2, 3, 4, 5, 6, 7]], np.uint8)
    found = ngrams(text)
    assert int(found.packed[7]).to_bytes(8, "big") == bytes([255, 254, 1, 2, 3, 4, 5, 6])
    assert found.preceding.tolist() == list(range(10))
    assert found.text.tolist() == [0] * 10


def test_the_divergence_is_that_of_the_definition():
    # Symbols of {1} and {1, 2}: 1 and the end mark, each 1/2; 1, 2 and the end mark, each 1/3.
    one, two = np.array([[1, 0]], np.uint8), np.array([[1, 2]], np.uint8)
    p, q = np.array([1 / 2, 0, 1 / 2]), np.array([1 / 3, 1 / 3, 1 / 3])
    m = (p + q) / 2
    kl = [sum(x * np.log2(x / y) for x, y in zip(share, m, strict=True) if x) for share in (p, q)]
    assert jensen_shannon(one, two, 1) == pytest.approx(sum(kl) / 2)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_the_divergence_of_equal_sets_is_0_and_that_of_disjoint_ones_1(length):
    texts = np.array(list(itertools.product([1, 2], repeat=4)), np.uint8)
    assert jensen_shannon(texts, texts[::-1], length) == 0
    # Without an end mark in common: 4-grams of other symbols.
    assert jensen_shannon(texts, texts + 2, 4) == pytest.approx(1.0)
