"""Decodes raw images in several threads."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gan_core.config import PrepareConfig
from gan_core.data.decode import UnreadableImage, decode
from gan_core.data.manifest import RejectedEntry
from gan_core.data.sources import RawImage, Source

_MOST_THREADS = 16
_IMAGES_PER_TASK = 8

Decoded = tuple[RawImage, NDArray[np.uint8], bytes]
"""A raw image, its pixels, and the SHA-256 of the pixels."""


def decode_all(source: Source, config: PrepareConfig) -> Iterator[Decoded | RejectedEntry]:
    """Yields the source's images decoded, in its order. Decodes only a few images ahead of the consumer."""
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    raw_images = iter(source)
    running: deque[Future[list[Decoded | RejectedEntry]]] = deque()
    with ThreadPoolExecutor(threads) as executor:
        while True:
            while len(running) < 2 * threads and (task := list(islice(raw_images, _IMAGES_PER_TASK))):
                running.append(executor.submit(_decode_task, task, config))
            if not running:
                return
            yield from running.popleft().result()


def _decode_task(raw_images: Sequence[RawImage], config: PrepareConfig) -> list[Decoded | RejectedEntry]:
    results: list[Decoded | RejectedEntry] = []
    for raw_image in raw_images:
        try:
            pixels = decode(raw_image.open, config)
        except UnreadableImage as error:
            results.append(RejectedEntry(path=raw_image.path, reason=str(error)))
        else:
            results.append((raw_image, pixels, hashlib.sha256(pixels.tobytes()).digest()))
    return results
