"""Does the work of `prepare` and `evaluate` on the workers of an Apache Beam runner.

The workers must see the same folders as the command: its inputs, and the folder of its temporary files. For `prepare`,
each decodes items, which Beam then groups by ranges of their digests. A worker sorts a range and writes it to a file.
So the order of the items, and with it every byte of the output, depends neither on the runner nor on the number of
workers.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from components.beam.pipelines import pipeline_with
from components.beam.ranges import BYTES_PER_RANGE, Item, SortedItems, WriteRange, range_of
from gan_core.data.engine import Arrays, Form, Task
from gan_core.data.manifest import RejectedEntry
from gan_core.data.parallel_decode import decode_items
from gan_core.data.sources import RawItem, Source
from gan_core.errors import InvalidInput
from gan_core.staging import whole_file

_ITEMS_PER_ELEMENT = 64  # Beam needs time for each element, so raw items travel together
_REJECTED, _REFUSAL = "rejected", "invalid_input"


class Mapper:
    """Calls functions on the workers of a runner.

    Args:
        options: the options of the runner.
        folder: gets temporary files; the workers must see it.
    """

    def __init__(self, options: PipelineOptions, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._pipelines = itertools.count()

    def map(self, function: Callable[[Task], Arrays], tasks: Sequence[Task]) -> Iterator[Arrays]:
        """Calls the function for each task on a worker.

        Raises:
            InvalidInput: the function raised it.
        """
        folder = self._new_folder()
        with pipeline_with(self._options) as pipeline:
            _ = (
                pipeline
                | "Tasks" >> beam.Create(list(enumerate(tasks)))
                | "Distribute" >> beam.Reshuffle()
                | "Run" >> beam.Map(functools.partial(_run, function, folder))
            )
        for number in range(len(tasks)):
            with np.load(_result(folder, number), allow_pickle=False) as stored:
                arrays = dict(stored)
            if _REFUSAL in arrays:
                raise InvalidInput(str(arrays[_REFUSAL]))
            yield arrays

    def _new_folder(self) -> Path:
        folder = self._folder / f"beam-{next(self._pipelines)}"
        folder.mkdir(parents=True)
        return folder


class BeamEngine(Mapper):
    """Divides the work of `prepare` by Apache Beam.

    Args:
        options, folder: as for `Mapper`.
        open_source: opens the source in a worker.
    """

    def __init__(self, options: PipelineOptions, open_source: Callable[[], Source], folder: Path) -> None:
        super().__init__(options, folder)
        self._open_source = open_source

    @contextmanager
    def decoded(self, source: Source, form: Form) -> Iterator[tuple[SortedItems, list[RejectedEntry]]]:
        """Yields the items in the order of digest and label."""
        folder = self._new_folder()
        ranges = max(1, math.ceil(source.count * form.bytes_per_item / BYTES_PER_RANGE))
        with pipeline_with(self._options) as pipeline:
            found = (
                pipeline
                | "Begin" >> beam.Create([None])
                | "List" >> beam.FlatMap(functools.partial(_list_items, self._open_source))
                | "Distribute" >> beam.Reshuffle()
                | "Decode" >> beam.ParDo(_Decode(form, ranges)).with_outputs(_REJECTED, main="decoded")
            )
            _ = (
                found["decoded"]
                | "Group by range" >> beam.GroupByKey()
                | "Write range" >> beam.ParDo(WriteRange(folder, form))
            )
            _ = found[_REJECTED] | "Write rejected" >> beam.io.WriteToText(
                str(folder / _REJECTED), shard_name_template="", num_shards=1
            )
        with (folder / _REJECTED).open("rb") as lines:  # names may contain what splitlines takes for the end of a line
            rejected = [RejectedEntry.model_validate_json(line) for line in lines]
        yield SortedItems(folder, ranges), rejected


class _Decode(beam.DoFn):
    """Raw items → (range, (digest, label, content)), and the JSON of rejected items."""

    def __init__(self, form: Form, ranges: int) -> None:
        super().__init__()
        self._form, self._ranges = form, ranges

    def process(self, element: Sequence[RawItem]) -> Iterator[tuple[int, Item] | beam.pvalue.TaggedOutput]:
        for result in decode_items(element, self._form.decode):
            if isinstance(result, RejectedEntry):
                yield beam.pvalue.TaggedOutput(_REJECTED, result.model_dump_json())
            else:
                raw_item, array, digest = result
                yield range_of(digest, self._ranges), (digest, raw_item.label, array.tobytes())


def _list_items(open_source: Callable[[], Source], _: None) -> Iterator[list[RawItem]]:
    items = iter(open_source())
    while some := list(itertools.islice(items, _ITEMS_PER_ELEMENT)):
        yield some


def _run(function: Callable[[Task], Arrays], folder: Path, element: tuple[int, Task]) -> None:
    number, task = element
    try:
        arrays = function(task)
    except InvalidInput as error:  # the runner would repeat the task, and report a failure instead of a mistake
        arrays = {_REFUSAL: np.asarray(str(error))}
    with whole_file(_result(folder, number)) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _result(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npz"
