"""Where the items of a data set are decoded and its shards are written: in this process, or on an engine's workers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gan_core.data.manifest import RejectedEntry
from gan_core.data.parallel_decode import Decode, decode_all
from gan_core.data.shards import ItemStore, Store
from gan_core.data.sources import Source

Arrays = dict[str, NDArray[Any]]
Task = TypeVar("Task")


@dataclass(frozen=True)
class Form:
    """How items are decoded.

    Attributes:
        decode: decodes an item.
        shape: the shape of every decoded item.
        dtype: the type of its numbers.
    """

    decode: Decode
    shape: tuple[int, ...]
    dtype: DTypeLike

    @property
    def bytes_per_item(self) -> int:
        """The size of a decoded item."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class Engine(Protocol):
    """Does the work of `prepare` that can be divided. Its results do not depend on who does it."""

    def decoded(self, source: Source, form: Form) -> AbstractContextManager[tuple[Store, list[RejectedEntry]]]:
        """Decodes all items of the source, and yields a store of them, in any order, and the rejected items."""

    def map(self, function: Callable[[Task], Arrays], tasks: Sequence[Task]) -> Iterable[Arrays]:
        """Returns what `function` returns for each task, in their order. Workers may call it more than once for a task.

        Function and tasks must be picklable.
        """


class InProcess:
    """Works in this process, and decodes in several threads.

    Args:
        folder: gets a temporary file of the decoded items.
        on_item: called after each item that was decoded or rejected.
    """

    def __init__(self, folder: Path, on_item: Callable[[], None] = lambda: None) -> None:
        self._folder, self._on_item = folder, on_item

    @contextmanager
    def decoded(self, source: Source, form: Form) -> Iterator[tuple[ItemStore, list[RejectedEntry]]]:
        """Yields the items in the order of the source."""
        with tempfile.TemporaryFile(dir=self._folder) as file:
            store, rejected = ItemStore(file, form.shape, form.dtype), []
            for result in decode_all(source, form.decode):
                if isinstance(result, RejectedEntry):
                    rejected.append(result)
                else:
                    raw_item, decoded, digest = result
                    store.append(decoded, digest, raw_item.label)
                self._on_item()
            yield store, rejected

    def map(self, function: Callable[[Task], Arrays], tasks: Sequence[Task]) -> Iterator[Arrays]:
        """Calls the function for one task after the other."""
        return map(function, tasks)
