"""Loads the training state of a registered version, so that another training can start from it."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.storage.bucket import explained
from components.tracking.failures import answered
from components.tracking.server import connect
from gan_core.errors import InvalidInput
from gan_core.networks.size import MOST_PARAMETERS
from gan_core.output_files import STATE_FILE

# The float32 weights of three networks, and the file's own structure.
_MOST_BYTES = 3 * 4 * MOST_PARAMETERS + 2**20
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Initial:
    """What a training starts from.

    Attributes:
        name: the registered version that the networks come from, or `random weights`.
        content: content of the file STATE_FILE of its training; empty for random weights.
        parameters: parameters of its training as MLflow has them, for messages.
    """

    name: str
    content: bytes
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """`sha256-<hex>` of the content."""
        return f"sha256-{hashlib.sha256(self.content).hexdigest()}"


RANDOM = Initial("random weights", b"")


def find_initial(warm_start: str) -> Initial:
    """Loads the state that `train.warm_start` names. If no version has the alias yet, returns random weights.

    Raises:
        InvalidInput: there is no such version, its state is missing or differs from the registered one, or MLflow's
            address or database cannot be used.
        TryAgain: the server, or the bucket of its artifacts, does not answer.
    """
    if warm_start == "none":
        return RANDOM
    # The artifacts may lie in a bucket.
    with (
        answered("provide the state to start from"),
        explained("the bucket of MLflow's artifacts"),
        tempfile.TemporaryDirectory() as folder,
    ):
        client = connect()
        model, version = _find_version(client, warm_start)
        if version is None:
            _logger.info("No version has the alias in %s yet, so the training starts from random weights.", warm_start)
            return RANDOM
        name = f"version {version.version} of {model}"
        sizes = {file.path: file.file_size for file in client.list_artifacts(version.run_id)}
        if STATE_FILE not in sizes:
            raise InvalidInput(
                f"A warm start needs a version that was registered with its training state. Received: {name}"
            )
        if (size := sizes[STATE_FILE] or 0) > _MOST_BYTES:
            raise InvalidInput(
                f"A training state must have at most {_MOST_BYTES} bytes. Received: {name}, {size} bytes"
            )
        parameters = client.get_run(version.run_id).data.params
        content = Path(client.download_artifacts(version.run_id, STATE_FILE, folder)).read_bytes()
    initial = Initial(name, content, parameters)
    if version.tags.get("state_digest") != initial.digest:
        raise InvalidInput(
            f"The training state must be unchanged since its registration. Received: {name}, {initial.digest}"
        )
    _logger.info("The training starts from the networks of %s.", name)
    return initial


def _find_version(client: Any, warm_start: str) -> tuple[str, Any | None]:
    """Returns the model's name and the version, which is None if no version has the alias yet."""
    from mlflow.exceptions import MlflowException

    model, _, alias = warm_start.removeprefix("models:/").partition("@")
    number = ""
    if not alias:
        model, _, number = model.rpartition("/")
    try:
        if alias:
            return model, client.get_model_version_by_alias(model, alias)
        return model, client.get_model_version(model, number)
    except MlflowException as error:
        # MLflow reports an alias that the model does not have as an invalid parameter.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        if alias:
            return model, None
        raise InvalidInput(f"The version to start from must exist. Received: train.warm_start={warm_start}") from None
