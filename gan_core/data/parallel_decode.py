"""Decodes raw items in several threads."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from numpy.typing import NDArray

from gan_core.data.manifest import RejectedEntry
from gan_core.data.sources import RawItem, Source
from gan_core.errors import UnreadableItem

_MOST_THREADS = 16
_ITEMS_PER_TASK = 8

Decode = Callable[[Callable[[], Any]], NDArray[Any]]
Decoded = tuple[RawItem, NDArray[Any], bytes]
"""A raw item, its decoded array, and the SHA-256 of the array."""


def decode_all(source: Source, decode: Decode) -> Iterator[Decoded | RejectedEntry]:
    """Yields the source's items decoded, in its order. Decodes only a few items ahead of the consumer."""
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    raw_items = iter(source)
    running: deque[Future[list[Decoded | RejectedEntry]]] = deque()
    with ThreadPoolExecutor(threads) as executor:
        while True:
            while len(running) < 2 * threads and (task := list(islice(raw_items, _ITEMS_PER_TASK))):
                running.append(executor.submit(decode_items, task, decode))
            if not running:
                return
            yield from running.popleft().result()


def decode_items(raw_items: Sequence[RawItem], decode: Decode) -> list[Decoded | RejectedEntry]:
    """Returns the raw items decoded, or the reason why they cannot be."""
    results: list[Decoded | RejectedEntry] = []
    for raw_item in raw_items:
        try:
            array = decode(raw_item.open)
        except UnreadableItem as error:
            results.append(RejectedEntry(path=raw_item.path, reason=str(error)))
        else:
            results.append((raw_item, array, hashlib.sha256(array.tobytes()).digest()))
    return results
