"""Scores of generated texts: shares of valid, unique and novel ones, and the nearest training texts.

Texts are codes, uint8 [B, length]: symbols from 1, then 0 to the end.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.metrics.ngrams import lengths

MOST_CELLS = 2**34
"""Most cells of the tables that one call of `nearest` fills: about 45 seconds of one core."""


def valid(texts: NDArray[np.uint8], symbols: int) -> NDArray[np.bool_]:
    """Whether each text has a symbol, has none after its first end mark, and has none above `symbols`."""
    places = np.arange(texts.shape[1])
    count = lengths(texts)
    after: NDArray[np.bool_] = ((texts != 0) & (places > count[:, None])).any(axis=1)
    valid_ones: NDArray[np.bool_] = (count > 0) & ~after & (texts <= symbols).all(axis=1)
    return valid_ones


def unique_share(texts: NDArray[np.uint8]) -> float:
    """Returns the number of different texts as a share of all."""
    return len(np.unique(_readable(texts), axis=0)) / len(texts)


def novel_share(texts: NDArray[np.uint8], training: NDArray[np.uint8]) -> float:
    """Returns the share of texts that are not among the training texts."""
    known = _first_positions(training)
    return sum(text not in known for text in _symbols(texts)) / len(texts)


def compared(queries: NDArray[np.uint8], pool: NDArray[np.uint8]) -> int:
    """Returns the number of texts in `pool`, the first ones, that `nearest` compares with each query.

    These are all, unless `MOST_CELLS` are not enough: 200 texts of 13 symbols are compared with up to 508,280.
    """
    cells_of_one = max(1, queries.size * pool.shape[1])
    return min(len(pool), max(1, MOST_CELLS // int(cells_of_one)))


def nearest(queries: NDArray[np.uint8], pool: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the edit distance of each query to the nearest text in `pool`, and that text's first position.

    The distance counts inserted, deleted and replaced symbols. A copy is found among all texts of the pool. Every other
    query is compared with the first `compared` of them at once: its table is filled cell by cell, and each cell is a
    vector over these texts.

    Reference: Levenshtein 1966, "Binary codes capable of correcting deletions, insertions, and reversals".
    """
    distances, positions = np.empty(len(queries), np.int64), np.empty(len(queries), np.int64)
    known = _first_positions(pool)
    pool = pool[: compared(queries, pool)]
    pool_lengths = lengths(pool)
    columns = np.ascontiguousarray(pool.T)
    for index, (query, count, text) in enumerate(zip(queries, lengths(queries), _symbols(queries), strict=True)):
        if text in known:
            distances[index], positions[index] = 0, known[text]
            continue
        row = np.repeat(np.arange(len(columns) + 1, dtype=np.int16)[:, None], len(pool), axis=1)
        for symbol in query[:count]:
            previous = row.copy()
            row[0] += 1
            for place, column in enumerate(columns, start=1):
                replaced = previous[place - 1] + (column != symbol)
                np.minimum(replaced, np.minimum(previous[place], row[place - 1]) + 1, out=row[place])
        of_pool = row[pool_lengths, np.arange(len(pool))]
        positions[index] = of_pool.argmin()
        distances[index] = of_pool[positions[index]]
    return distances, positions


def _first_positions(texts: NDArray[np.uint8]) -> dict[bytes, int]:
    """The symbols of each different text, with the first position where it stands."""
    found: dict[bytes, int] = {}
    for position, text in enumerate(_symbols(texts)):
        found.setdefault(text, position)
    return found


def _symbols(texts: NDArray[np.uint8]) -> Iterator[bytes]:
    """The symbols of each text as bytes."""
    return (text.tobytes()[:count] for text, count in zip(texts, lengths(texts).tolist(), strict=True))


def _readable(texts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The texts with 0 in every place after the first 0."""
    return np.where(np.arange(texts.shape[1]) < lengths(texts)[:, None], texts, 0).astype(np.uint8)
