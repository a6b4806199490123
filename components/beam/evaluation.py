"""Extracts the features of an evaluation on the workers of an Apache Beam runner."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions

from components.beam.engine import Mapper
from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.evaluation.cache import Arrays
from gan_core.evaluation.parts import Part, RunParts, extract_part
from gan_core.staging import remove_abandoned, workplace

_PREFIX = "beam-"
_one_at_a_time = threading.Lock()
_configure_once = functools.cache(configure_tensorflow)


@contextmanager
def parts_on_workers(options: PipelineOptions, cache: Path) -> Iterator[RunParts]:
    """Yields a function that extracts parts on the workers of a runner.

    Args:
        options: the options of the runner.
        cache: the folder that `build_extractor` reads; gets temporary files too. The workers must see it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    remove_abandoned(cache, _PREFIX)
    with workplace(cache, _PREFIX) as folder:
        yield functools.partial(Mapper(options, folder).map, functools.partial(_extract, cache))


def _extract(cache: Path, part: Part) -> Arrays:
    # A runner may use several threads in a process. TensorFlow uses all cores for one part.
    with _one_at_a_time:
        _configure_once()
        return extract_part(cache, part)
