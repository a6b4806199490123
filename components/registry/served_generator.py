"""The generator as MLflow serves it: it answers a request with images. MLflow runs this file, so nothing is pickled.

A request is one row of `count`, `seed` and optionally `truncation` (1 by default), or rows of `latents`, one image per
row. For a conditional generator, `label` names the class in both forms. In the first form it is optional: without it,
the classes are drawn with their frequencies in the training data. A paired generator takes rows of an `input` image and
a `seed`, one image per row.

In each form, `format: file` asks for files, in base64: PNG of images, WAV of sounds. They have the mark of the files of
`components.generate`, which says that a trained generator made them, which one, and from what seed.

The model has no input schema, because with a schema MLflow turns 1.5 and true into 1 and drops unknown columns before
the model gets them. So every column and value is checked here.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.export import Generator, draw_latents, load_generator
from gan_core.generated_files import marked_files
from gan_core.provenance import Provenance

MOST_IMAGES = 1024  # in one request
_MOST_SEED = 2**31 - 1
_NAMES_SHOWN = 20
_CHARACTERS_SHOWN = 60
_FORMS = {
    "plain": "A request is one row of 'count', 'seed' and optionally 'truncation', or rows of 'latents' alone.",
    "conditional": "A request is one row of 'count', 'seed' and optionally 'truncation' and 'label', or rows of "
    "'latents' and 'label'.",
    "paired": "A request is rows of 'input' and 'seed'.",
}
_MEDIA_TYPES = {".png": "image/png", ".wav": "audio/wav"}


class ServedGenerator(PythonModel):  # type: ignore[misc]
    """Draws images of the generator in the artifact `generator`."""

    _skip_type_hint_validation = True  # MLflow would warn that `predict` has no type hints

    def load_context(self, context: Any) -> None:
        """Loads the generator."""
        self._generator: Generator = load_generator(Path(context.artifacts["generator"]))

    # Type hints here would become an input schema.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Draws images, uint8 [B, H, W, C]; for other data, what its codec answers; files if the request asks for them.

        Args:
            context: unused.
            model_input: a table with the columns of one of the forms above: a data frame, or lists by name.
            params: unused.

        Raises:
            MlflowException: the request is wrong; the server answers 400 with the message.
        """
        columns = _columns(model_input)
        codec, wanted = codec_of(self._generator.metadata), _format(columns.pop("format", ["array"]))
        if wanted == "file" and codec.symbols:
            raise _refusal("'format' must be array, because texts are no files. Received: file")
        arrays = self._generated(columns)
        return self._files(arrays, columns) if wanted == "file" else codec.answer(arrays)

    def _files(self, arrays: NDArray[np.uint8], columns: Mapping[str, list[Any]]) -> list[dict[str, str]]:
        """Returns the media type and the content, in base64, of a file of each array."""
        metadata, marks = self._generator.metadata, []
        for number in range(len(arrays)):
            row = {name: values[number if len(values) > 1 else 0] for name, values in columns.items()}
            seed, truncation, label = row.get("seed"), row.get("truncation"), row.get("label")
            provenance = Provenance(
                metadata.dataset_source,
                str(self._generator.digest),
                "latents of the request" if seed is None else str(int(seed)),
                1.0 if truncation is None else truncation,
                label or "",
            )
            marks.append(provenance.xmp(number))
        suffix, contents = marked_files(codec_of(metadata), arrays, marks)
        return [{"type": _MEDIA_TYPES[suffix], "file": base64.b64encode(content).decode()} for content in contents]

    def _generated(self, columns: Mapping[str, list[Any]]) -> NDArray[np.uint8]:
        metadata = self._generator.metadata
        label = {"label"} if metadata.classes else set()
        known = {"input", "seed"} if metadata.paired else {"count", "seed", "truncation", "latents"} | label
        form = _FORMS["paired" if metadata.paired else "conditional" if metadata.classes else "plain"]
        if unknown := [name for name in columns if name not in known]:
            raise _refusal(f"A request has no column {_text(unknown[0])!r}. {form} Received: {_few(columns)}")
        rows = len(next(iter(columns.values()), ()))
        columns = {name: values for name, values in columns.items() if any(value is not None for value in values)}
        if not 1 <= rows <= MOST_IMAGES:
            raise _refusal(f"A request must have 1 to {MOST_IMAGES} rows. Received: {rows}")
        given = columns.keys()
        if metadata.paired:
            if given == known:
                return self._generator.draw(self._seeded(columns["seed"]), self._inputs(columns["input"]))
        elif given == {"latents"} | label:
            labels = self._labels(columns["label"]) if metadata.classes else None
            return self._generator.draw(self._latents(columns["latents"]), labels)
        elif {"count", "seed"} <= given <= known - {"latents"} and rows == 1:
            return self._drawn({name: values[0] for name, values in columns.items()})
        raise _refusal(f"{form} Received: {rows} rows of {sorted(columns)}")

    def _drawn(self, row: Mapping[str, Any]) -> NDArray[np.uint8]:
        count, seed = _whole("count", row["count"], 1, MOST_IMAGES), _seed(row["seed"])
        truncation = _number("truncation", row.get("truncation", 1.0))
        if not 0 <= truncation <= 1:
            raise _refusal(f"'truncation' must be from 0 to 1. Received: {truncation}")
        labels = self._labels([row["label"]]).repeat(count) if "label" in row else None
        return self._generator.sample(count, seed, truncation, None if labels is None else labels.__getitem__)

    def _latents(self, rows: Iterable[Any]) -> NDArray[np.float32]:
        latents = _stacked("latents", rows, (self._generator.metadata.latent_size,))
        if not (np.abs(latents) <= np.finfo(np.float32).max).all():
            raise _refusal("'latents' must be finite float32 numbers. Received: infinity, NaN or a larger number")
        return latents.astype(np.float32)

    def _seeded(self, rows: Iterable[Any]) -> NDArray[np.float32]:
        size = self._generator.metadata.latent_size
        return np.concatenate([draw_latents(1, size, _seed(row)) for row in rows])

    def _inputs(self, rows: Iterable[Any]) -> NDArray[np.uint8]:
        images = _stacked("input", rows, self._generator.metadata.shape)
        wrong = images[~((images >= 0) & (images <= 255) & (images == np.floor(images)))]
        if wrong.size:
            raise _refusal(f"'input' must hold whole grey levels from 0 to 255. Received: {wrong[0]:g}")
        return images.astype(np.uint8)

    def _labels(self, rows: Iterable[Any]) -> NDArray[np.int32]:
        classes = self._generator.metadata.classes
        names = list(rows)
        if unknown := [name for name in names if not isinstance(name, str) or name not in classes]:
            raise _refusal(f"'label' must be one of {_few(classes)}. Received: {_text(unknown[0])}")
        return np.array([classes.index(name) for name in names], np.int32)


def _columns(request: Any) -> dict[str, list[Any]]:
    """A request's columns by name, from any of MLflow's formats."""
    if isinstance(request, pd.DataFrame):
        if not request.columns.is_unique:
            raise _refusal(f"A request must name each column once. Received: {_few(request.columns)}")
        columns = {name: request[name].tolist() for name in request.columns}
    elif isinstance(request, Mapping):
        columns = {name: list(values) if _is_list(values) else [values] for name, values in request.items()}
        if len(lengths := {len(values) for values in columns.values()}) > 1:
            raise _refusal(f"The columns of a request must have the same number of rows. Received: {sorted(lengths)}")
    elif _is_list(request) and len(request) and all(isinstance(row, Mapping) for row in request):
        return _columns(pd.DataFrame(list(request)))
    else:
        raise _refusal(
            f"A request must be a table: named columns, or rows of named values. Received: {type(request).__name__}"
        )
    return {name: [_plain(value) for value in values] for name, values in columns.items()}


def _format(values: list[Any]) -> str:
    """Returns the format that all rows name."""
    if all(value is None for value in values):
        return "array"
    wrong = [value for value in values if value not in ("array", "file")]
    if wrong or len(set(values)) != 1:
        rule = "'format' must be array or file, and the same in all rows"
        raise _refusal(f"{rule}. Received: {_few(wrong or values)}")
    return str(values[0])


def _plain(value: Any) -> Any:
    """Converts a numpy scalar to a Python number or text; returns any other value unchanged."""
    scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)
    return value.item() if scalar else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _number(name: str, value: Any) -> int | float:
    """Returns the value if it is a finite number. Booleans and numbers as text are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise _refusal(f"{name!r} must be a number. Received: {_text(repr(value))}")
    return value


def _whole(name: str, value: Any, least: int, most: int) -> int:
    number = _number(name, value)
    if not least <= number <= most:
        raise _refusal(f"{name!r} must be from {least} to {most}. Received: {_text(number)}")
    if number != int(number):
        raise _refusal(f"{name!r} must be a whole number. Received: {number}")
    return int(number)


def _seed(value: Any) -> int:
    return _whole("seed", value, 0, _MOST_SEED)


def _stacked(name: str, rows: Iterable[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Returns the nested lists of the rows as one array [B, *shape]."""
    arrays = []
    for row in rows:
        try:
            raw = np.asarray(row, object)
            kinds = set(map(type, raw.ravel()))
            array = raw.astype(np.float64)
        except (TypeError, ValueError, OverflowError):  # rows of different lengths, or not numbers
            raise _refusal(
                f"Each row of '{name}' must hold numbers of shape {shape}. Received: other lengths or values"
            ) from None
        if array.shape != shape:
            raise _refusal(f"Each row of '{name}' must hold numbers of shape {shape}. Received: {array.shape}")
        if wrong := [kind.__name__ for kind in kinds if kind is bool or not issubclass(kind, int | float | np.number)]:
            raise _refusal(f"Each row of '{name}' must hold numbers of shape {shape}. Received: {wrong[0]}")
        arrays.append(array)
    return np.stack(arrays)


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _CHARACTERS_SHOWN else f"{text[:_CHARACTERS_SHOWN]}…"


def _few(names: Iterable[Any]) -> str:
    names = [_text(name) for name in names]
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"


def _refusal(message: str) -> MlflowException:
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(ServedGenerator())
