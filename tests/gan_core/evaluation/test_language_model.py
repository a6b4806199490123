import itertools

import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.evaluation.language_model import DISCOUNTS, LanguageModel
from gan_core.evaluation.metrics.ngrams import ngrams


def encoded(*words, length=8):
    texts = np.zeros((len(words), length), np.uint8)
    for text, word in zip(texts, words, strict=True):
        text[: len(word)] = [ord(letter) - 96 for letter in word]
    return texts


@pytest.fixture(scope="module")
def words():
    """600 texts of a chain in which `b` follows `a`, and `c` follows `ab`."""
    random = np.random.default_rng(0)
    return encoded(*("".join(random.choice(["abc", "d", "ad", "cab"], random.integers(1, 3))) for _ in range(600)))


def test_the_probabilities_of_a_tiny_corpus_are_those_computed_by_hand():
    # Texts ab, ac; D = 0.5. Different symbols before a: 1 (the start), b: 1, c: 1, the end: 2; so 5 continuations of 4.
    model = LanguageModel(encoded("ab", "ac"), symbols=3, order=2, discount=0.5)
    lowest = 1 / 4
    unigram = {symbol: (count - 0.5 + 0.5 * 4 * lowest) / 5 for symbol, count in (("a", 1), ("b", 1), ("end", 2))}
    after_start = (2 - 0.5 + 0.5 * 1 * unigram["a"]) / 2
    after_a = (1 - 0.5 + 0.5 * 2 * unigram["b"]) / 2
    after_b = (1 - 0.5 + 0.5 * 1 * unigram["end"]) / 1
    np.testing.assert_allclose(model.probabilities(encoded("ab")), [after_start, after_a, after_b])
    # After c came only the end, so b has only the discounted mass; d is unknown before and after.
    wrong = model.probabilities(encoded("cb"))
    np.testing.assert_allclose(wrong[1], 0.5 * 1 * unigram["b"] / 1)


def test_one_symbol_is_a_unigram_model():
    model = LanguageModel(encoded("aab"), symbols=2, order=1, discount=0.5)
    expected = [(count - 0.5 + 0.5 * 3 / 3) / 4 for count in (2, 1, 1)]
    np.testing.assert_allclose(model.probabilities(encoded("ab")), expected)


@pytest.mark.parametrize("order", range(1, 9))
def test_the_probabilities_after_every_context_add_up_to_1(words, order):
    model = LanguageModel(words, symbols=5, order=order, discount=0.7)
    for context in ("", "a", "ab", "abc", "dd", "eee", "abcabc", "cabcab"):
        texts = encoded(*(context + letter for letter in ["", *"abcde"]))
        last = ngrams(texts).preceding == len(context)
        assert model.probabilities(texts)[last].sum() == pytest.approx(1)


def test_the_bits_per_character_are_the_mean_of_the_logarithms(words):
    model = LanguageModel(words, symbols=4, order=3, discount=0.5)
    assert model.bits_per_character(words[:9]) == pytest.approx(-np.log2(model.probabilities(words[:9])).mean())
    uniform = LanguageModel(encoded("a"), symbols=1, order=1, discount=0.5)
    assert uniform.bits_per_character(encoded("a")) == pytest.approx(1)


def test_the_chosen_order_and_discount_predict_best(words):
    chosen = LanguageModel.chosen(words[:500], symbols=4)
    held_out = {
        order: min(LanguageModel(words[:500], 4, order, d).bits_per_character(words[500:]) for d in DISCOUNTS)
        for order in range(1, 9)
    }
    assert chosen.bits_per_character(words[500:]) < min(held_out.values()) + 0.02
    assert chosen.bits_per_character(words[500:]) < held_out[1] - 0.3


def test_samples_have_the_probabilities_of_the_model(words):
    model = LanguageModel(words[:40], symbols=4, order=3, discount=0.6)
    samples = model.sample(20_000, seed=1)
    for prefix in ("", "a", "ab", "c"):
        count = len(prefix)
        after = samples[(samples[:, :count] == encoded(prefix)[0, :count]).all(axis=1), count]
        texts = encoded(*(prefix + letter for letter in ["", *"abcd"]))
        expected = model.probabilities(texts)[ngrams(texts).preceding == count]
        found = np.bincount(after, minlength=5) / len(after)
        np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(0.25 / len(after)))


def test_samples_depend_only_on_the_seed_and_end_with_zeros(words):
    model = LanguageModel(words, symbols=4, order=4, discount=0.6)
    samples = model.sample(50, seed=2)
    np.testing.assert_array_equal(model.sample(20, seed=2), samples[:20])
    assert not np.array_equal(model.sample(50, seed=3), samples)
    for one, two in itertools.pairwise(samples.T):
        assert not two[one == 0].any()


@pytest.mark.parametrize(
    ("count", "order", "discount"), [(0, 2, 0.5), (2, 0, 0.5), (2, 9, 0.5), (2, 2, 0.0), (2, 2, 1)]
)
def test_a_model_that_cannot_be_made_is_refused(count, order, discount):
    with pytest.raises(InvalidInput, match=rf"Received: {count} texts, order={order}, discount={discount}$"):
        LanguageModel(encoded(*"ab"[:count]), 2, order, discount)
    with pytest.raises(InvalidInput, match=r"at least 2 texts\. Received: 1$"):
        LanguageModel.chosen(encoded("a"), 2)
