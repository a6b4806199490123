import numpy as np
import pytest

from gan_core.evaluation.metrics import texts as metrics
from gan_core.evaluation.metrics.texts import compared, nearest, novel_share, unique_share, valid


def encoded(*words, length=10):
    texts = np.zeros((len(words), length), np.uint8)
    for text, word in zip(texts, words, strict=True):
        text[: len(word)] = [ord(letter) - 96 for letter in word]
    return texts


def test_a_valid_text_is_not_empty_has_nothing_after_its_end_and_only_known_symbols():
    texts = np.array([[1, 2, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [1, 2, 1, 2], [3, 0, 0, 0]], np.uint8)
    assert valid(texts, symbols=2).tolist() == [True, False, False, False, True, False]


def test_shares_of_unique_and_novel_texts_ignore_what_follows_the_end():
    texts = encoded("anna", "ben", "anna", "cleo")
    texts[2, 7] = 9
    assert unique_share(texts) == 3 / 4
    assert novel_share(texts, encoded("anna", "bea")) == 1 / 2
    assert novel_share(texts, texts) == 0


def levenshtein(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1, levenshtein(a[1:], b[1:]) + (a[0] != b[0]))


def test_the_edit_distance_is_that_of_the_definition():
    distances, positions = nearest(encoded("kitten", "", "abc"), encoded("sitting", "kit", "bcd"))
    assert distances.tolist() == [3, 3, 2]
    assert positions.tolist() == [0, 1, 2]
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abc"), random.integers(0, 6))) for _ in range(12)]
    for word in words[:6]:
        distances, positions = nearest(encoded(word), encoded(*words[6:]))
        expected = [levenshtein(word, other) for other in words[6:]]
        assert (distances[0], positions[0]) == (min(expected), expected.index(min(expected)))


def test_a_long_search_is_bounded_and_still_finds_copies(monkeypatch):
    queries, pool = encoded("abce", "cccc", "abcd"), encoded("aaaa", "bbbb", "cccc", "abcd")
    assert compared(queries, pool) == 4
    assert [found.tolist() for found in nearest(queries, pool)] == [[1, 0, 0], [3, 2, 3]]
    monkeypatch.setattr(metrics, "MOST_CELLS", 3 * 10 * 10 * 2)
    assert compared(queries, pool) == 2
    assert [found.tolist() for found in nearest(queries, pool)] == [[3, 0, 0], [0, 2, 3]]
    monkeypatch.setattr(metrics, "MOST_CELLS", 1)
    assert compared(queries, pool) == 1


def test_built_in_names_are_compared_with_all_and_long_texts_with_a_part():
    assert compared(np.zeros((200, 13), np.uint8), np.zeros((75_000, 13), np.uint8)) == 75_000
    assert compared(np.zeros((200, 200), np.uint8), np.zeros((5_000, 200), np.uint8)) == 2_147


def test_a_text_without_an_end_mark_is_compared_whole():
    assert nearest(encoded("abcd", length=4), encoded("abcde", "abce", length=5))[0] == pytest.approx([1])
