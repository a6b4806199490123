"""The state of a registered version's training, to start another training from."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from components.bucket import explained
from components.mlflow_server import connect, explain
from gan_core.errors import InvalidInput, TryAgain
from gan_core.warm_start import STATE_FILE

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Initial:
    """What a training starts from.

    Attributes:
        name: of the registered version whose networks they are, or `random weights`.
        content: of the file STATE_FILE of its training; empty for random weights.
    """

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        """`sha256-<hex>` of the content."""
        return f"sha256-{hashlib.sha256(self.content).hexdigest()}"


RANDOM = Initial("random weights", b"")


def find_initial(warm_start: str) -> Initial:
    """What `train.warm_start` asks for; random weights for an alias that no version has yet.

    Raises:
        InvalidInput: there is no such version, or it has no state, or another one than was registered.
        TryAgain: the server, or the bucket of its artifacts, does not answer.
    """
    if warm_start == "none":
        return RANDOM
    client = connect()
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    model, _, alias = warm_start.removeprefix("models:/").partition("@")
    try:
        if alias:
            version = client.get_model_version_by_alias(model, alias)
        else:
            model, _, number = model.rpartition("/")
            version = client.get_model_version(model, number)
        name = f"version {version.version} of {model}"
        # The artifacts may lie in a bucket.
        with explained("the bucket of MLflow's artifacts"), tempfile.TemporaryDirectory() as folder:
            if not any(file.path == STATE_FILE for file in client.list_artifacts(version.run_id)):
                raise InvalidInput(
                    f"A warm start needs a version that was registered with the state of its training. Received: {name}"
                )
            content = Path(client.download_artifacts(version.run_id, STATE_FILE, folder)).read_bytes()
    except MlflowException as error:
        # An alias that a model does not have is an invalid parameter to MLflow.
        absent = error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        if absent and alias:
            _logger.info("No version is %s yet, so the training starts from random weights.", warm_start)
            return RANDOM
        if absent:
            raise InvalidInput(
                f"The version to start from must exist. Received: train.warm_start={warm_start}"
            ) from None
        raise TryAgain(f"MLflow did not give the state to start from: {explain(error)}") from None
    except RequestException as error:
        raise TryAgain(f"MLflow did not give the state to start from: {explain(error)}") from None
    initial = Initial(name, content)
    if version.tags.get("state_digest") != initial.digest:
        raise InvalidInput(f"The state must be the one that was registered. Received: {name}, {initial.digest}")
    _logger.info("The training starts from the networks of %s.", name)
    return initial
