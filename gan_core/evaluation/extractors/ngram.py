"""The extractor `ngram`: counts of a text's n-grams under a fixed random projection. Nothing is trained.

Each n-gram of one to four symbols, with the marks before and after the text, is hashed to one of 16,384 rows of a
matrix, and a text's features are the sum of its rows. So the squared distance of two means is about that of the mean
counts of all n-grams.

Reference: Weinberger et al. 2009, arXiv 0902.2206 (feature hashing); Johnson and Lindenstrauss 1984 (the projection).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.metrics.ngrams import mask, ngrams

FEATURES = 128
LONGEST = 4
_BUCKET_BITS = 14
_SEED = 0
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ divided by the golden ratio, odd


class NgramExtractor:
    """Features of texts, codes uint8 [B, length, 1, 1] with 0 after the last symbol.

    Attributes:
        name, size, resize, accuracy: as in `Extractor`.
        digest: `sha256-<hex>` of the matrix.
    """

    name = "ngram"
    size = FEATURES
    resize = "none"
    accuracy = None

    def __init__(self) -> None:
        generator = np.random.Generator(np.random.Philox(key=_SEED))
        drawn = generator.standard_normal((2**_BUCKET_BITS, FEATURES), dtype=np.float32)
        self._matrix = drawn / np.float32(np.sqrt(FEATURES))
        self.digest = f"sha256-{hashlib.sha256(self._matrix.tobytes()).hexdigest()}"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the features float32 [B, 128]."""
        found = ngrams(images[:, :, 0, 0])
        features = np.zeros((len(images), FEATURES), np.float32)
        for place in range(images.shape[1] + 1):
            here = found.preceding == place  # at most one n-gram of a text ends here
            for length in range(1, min(LONGEST, place + 2) + 1):
                features[found.text[here]] += self._matrix[bucket(found.packed[here], length)]
        return features


def bucket(packed: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """Returns the row of the matrix for each n-gram of `length` symbols, by multiplicative hashing.

    The length stands above the symbols, because a mark before a text and a missing symbol are both 0.
    """
    keys = (packed & mask(length)) | np.uint64(length << 8 * LONGEST)
    return (keys * _MULTIPLIER) >> np.uint64(64 - _BUCKET_BITS)
