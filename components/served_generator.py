"""The generator as MLflow serves it: a request in, images out. MLflow runs this file itself, so nothing is pickled.

A request is one row of `count`, `seed` and, if not 1, `truncation`; or rows of `latents`, one image each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel
from numpy.typing import NDArray

from gan_core.export import Generator, load_generator, to_uint8

MOST_IMAGES = 1024  # in one request
_FORMS = "A request is one row of 'count', 'seed' and optionally 'truncation', or rows of 'latents' and nothing else."


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
            model_input: data frame with the columns `count`, `seed`, `truncation`, or with the column `latents`.
            params: unused.

        Raises:
            MlflowException: the request is wrong; the server answers 400 with the message.
        """
        columns = {name for name in model_input.columns if not model_input[name].isna().all()}
        if not 1 <= len(model_input) <= MOST_IMAGES:
            raise _refusal(f"A request has from 1 to {MOST_IMAGES} rows. Received: {len(model_input)}")
        if columns == {"latents"}:
            return to_uint8(
                np.asarray(self._generator.model(self._latents(list(model_input["latents"])), training=False))
            )
        if not {"count", "seed"} <= columns <= {"count", "seed", "truncation"} or len(model_input) != 1:
            raise _refusal(f"{_FORMS} Received: {len(model_input)} rows of {sorted(columns)}")
        row = model_input.iloc[0]
        count, seed, truncation = int(row["count"]), int(row["seed"]), float(row.get("truncation", 1.0))
        if not 1 <= count <= MOST_IMAGES:
            raise _refusal(f"'count' must be from 1 to {MOST_IMAGES}. Received: {count}")
        if not 0 <= seed < 2**31:
            raise _refusal(f"'seed' must be from 0 to {2**31 - 1}. Received: {seed}")
        if not 0 <= truncation <= 1:
            raise _refusal(f"'truncation' must be from 0 to 1. Received: {truncation}")
        return self._generator.sample(count, seed, truncation)

    def _latents(self, rows: list[Any]) -> NDArray[np.float32]:
        size = self._generator.metadata.latent_size
        if any(np.shape(row) != (size,) for row in rows):
            shape = next(np.shape(row) for row in rows if np.shape(row) != (size,))
            raise _refusal(f"Each row of 'latents' must hold {size} numbers. Received: a row of shape {shape}")
        latents = np.asarray(rows, np.float32)
        if not np.isfinite(latents).all():
            raise _refusal("'latents' must be finite.")
        return latents


def _refusal(message: str) -> MlflowException:
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(ServedGenerator())
