"""The generator as MLflow serves it: a request in, images out. MLflow runs this file itself, so nothing is pickled.

A request is one row of `count`, `seed` and, if not 1, `truncation`; or rows of `latents`, one image each. For a
conditional generator `label` names the class in either form; without it, the classes of `count` images are drawn as
often as in its training. A paired generator takes rows of an `input` image and a `seed`, one image each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel
from numpy.typing import NDArray

from gan_core.export import Generator, draw_latents, load_generator

MOST_IMAGES = 1024  # in one request
_MOST_SEED = 2**31 - 1
_NAMES_SHOWN = 20
_FORMS = {
    "plain": "A request is one row of 'count', 'seed' and optionally 'truncation', or rows of 'latents' and nothing "
    "else.",
    "conditional": "A request is one row of 'count', 'seed' and optionally 'truncation' and 'label', or rows of "
    "'latents' and 'label'.",
    "paired": "A request is rows of 'input' and 'seed'.",
}


class ServedGenerator(PythonModel):  # type: ignore[misc]
    """Draws images of the generator in the artifact `generator`."""

    _skip_type_hint_validation = True  # MLflow would warn that `predict` has no type hints; the signature checks more

    def load_context(self, context: Any) -> None:
        """Loads the generator."""
        self._generator: Generator = load_generator(Path(context.artifacts["generator"]))

    # Type hints here would replace the model's signature.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Draws images, uint8 [B, H, W, C].

        Args:
            context: unused.
            model_input: data frame with the columns of one of the forms above.
            params: unused.

        Raises:
            MlflowException: the request is wrong; the server answers 400 with the message.
        """
        metadata = self._generator.metadata
        columns = {name for name in model_input.columns if not model_input[name].isna().all()}
        if not 1 <= len(model_input) <= MOST_IMAGES:
            raise _refusal(f"A request has from 1 to {MOST_IMAGES} rows. Received: {len(model_input)}")
        label = {"label"} if metadata.classes else set()
        if metadata.paired:
            if columns == {"input", "seed"}:
                return self._generator.draw(self._seeded(model_input["seed"]), self._inputs(model_input["input"]))
        elif columns == {"latents"} | label:
            labels = self._labels(model_input["label"]) if metadata.classes else None
            return self._generator.draw(self._latents(model_input["latents"]), labels)
        elif {"count", "seed"} <= columns <= {"count", "seed", "truncation"} | label and len(model_input) == 1:
            return self._drawn(model_input[sorted(columns)].iloc[0])
        form = _FORMS["paired" if metadata.paired else "conditional" if metadata.classes else "plain"]
        raise _refusal(f"{form} Received: {len(model_input)} rows of {sorted(columns)}")

    def _drawn(self, row: Any) -> NDArray[np.uint8]:
        count, seed, truncation = int(row["count"]), _seed(row["seed"]), float(row.get("truncation", 1.0))
        if not 1 <= count <= MOST_IMAGES:
            raise _refusal(f"'count' must be from 1 to {MOST_IMAGES}. Received: {count}")
        if not 0 <= truncation <= 1:
            raise _refusal(f"'truncation' must be from 0 to 1. Received: {truncation}")
        labels = self._labels([row["label"]]).repeat(count) if "label" in row else None
        return self._generator.sample(count, seed, truncation, None if labels is None else labels.__getitem__)

    def _latents(self, rows: Iterable[Any]) -> NDArray[np.float32]:
        latents = _stacked("latents", rows, (self._generator.metadata.latent_size,))
        if not np.isfinite(latents.astype(np.float32)).all():
            raise _refusal("'latents' must be finite.")
        return latents.astype(np.float32)

    def _seeded(self, rows: Iterable[Any]) -> NDArray[np.float32]:
        size = self._generator.metadata.latent_size
        return np.concatenate([draw_latents(1, size, _seed(row)) for row in rows])

    def _inputs(self, rows: Iterable[Any]) -> NDArray[np.uint8]:
        images = _stacked("input", rows, self._generator.metadata.shape)
        wrong = images[~((images >= 0) & (images <= 255) & (images == np.floor(images)))]
        if wrong.size:
            raise _refusal(f"'input' must hold whole grey levels from 0 to 255. Received: {wrong[0]}")
        return images.astype(np.uint8)

    def _labels(self, rows: Iterable[Any]) -> NDArray[np.int32]:
        classes = self._generator.metadata.classes
        names = list(rows)
        if unknown := [name for name in names if name not in classes]:
            raise _refusal(f"'label' must be one of {_few(classes)}. Received: {unknown[0]}")
        return np.array([classes.index(name) for name in names], np.int32)


def _seed(value: Any) -> int:
    if not 0 <= value <= _MOST_SEED:
        raise _refusal(f"'seed' must be from 0 to {_MOST_SEED}. Received: {value}")
    return int(value)


def _stacked(name: str, rows: Iterable[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The rows' nested lists as one array [B, *shape]."""
    arrays = []
    for row in rows:
        try:
            array = np.asarray(row, np.float64)
        except (TypeError, ValueError):  # the rows of a list are not of one length
            raise _refusal(f"Each row of '{name}' must hold numbers of shape {shape}. Received: other ones") from None
        if array.shape != shape:
            raise _refusal(f"Each row of '{name}' must hold numbers of shape {shape}. Received: {array.shape}")
        arrays.append(array)
    return np.stack(arrays)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"


def _refusal(message: str) -> MlflowException:
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(ServedGenerator())
