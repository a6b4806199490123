"""Serves a registered model's champion over HTTP, and switches to the next champion as soon as there is one.

MLflow's scoring server answers the requests. While a new version is loaded and generates its first image, the previous
version answers. Then new requests go to the new version, and running requests end on the previous one. No request is
lost or has to wait.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
import threading
from typing import Any, NamedTuple

from components.cli.listening_socket import listening_socket
from components.cli.option_numbers import number
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage import paths
from components.tracking.address import registry_uri, tracking_uri
from components.tracking.failures import answered, explain
from components.tracking.model_name import add_options, chosen_name
from components.tracking.server import connect
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

_MOST_PORT = 65535
_logger = logging.getLogger(__name__)


def main() -> None:
    """Reads the command line and serves until it is ended."""
    arguments = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with paths.local_paths(arguments) as local:
        name = chosen_name(local)
    with listening_socket(arguments.host, arguments.port) as own:
        with answered("provide the model to serve"):
            client = connect()
            configure_tensorflow()
            switch = Switch(client, name, arguments.alias)
        import uvicorn

        threading.Thread(target=watch, args=[switch, arguments.every, threading.Event()], daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends the server as it should
            uvicorn.Server(uvicorn.Config(switch, log_level="warning")).run(sockets=[own])


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.serve", description=__doc__)
    add_options(options)
    options.add_argument("--alias", default="champion", help="alias of the version to serve: champion or challenger")
    options.add_argument("--host", default="127.0.0.1", help="address to listen on")
    options.add_argument("--port", type=number("--port", int, 0, _MOST_PORT), default=5001, help="port to listen on")
    options.add_argument(
        "--every",
        type=number("--every", float, 0.01, 86_400),
        default=10.0,
        metavar="SECONDS",
        help="interval between two checks of the alias",
    )
    return options


class _Served(NamedTuple):
    version: str
    application: Any


class Switch:
    """An ASGI application that passes each request to MLflow's application for the version that the alias names.

    Raises:
        InvalidInput: there is no such version.
    """

    def __init__(self, client: Any, model: str, alias: str) -> None:
        from mlflow.exceptions import MlflowException

        self._client, self._model, self._alias = client, model, alias
        try:
            self._served = self._load(self._named())
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise InvalidInput(f"The alias must exist in the registry. Received: {model}@{alias}") from None
            raise

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request with the version that is served when it arrives."""
        await self._served.application(scope, receive, send)

    def update(self) -> None:
        """Switches to the version that the alias names now, if that is another one."""
        if (version := self._named()) != self._served.version:
            self._served = self._load(version)

    def _named(self) -> str:
        return str(self._client.get_model_version_by_alias(self._model, self._alias).version)

    def _load(self, version: str) -> _Served:
        import mlflow.pyfunc
        from mlflow.pyfunc import scoring_server

        mlflow.set_tracking_uri(tracking_uri())
        mlflow.set_registry_uri(registry_uri())
        model = mlflow.pyfunc.load_model(f"models:/{self._model}/{version}")
        model.predict(model.input_example)  # traces the network, so that no request has to wait for it
        application = scoring_server.init(model)
        application.middleware("http")(_checked)
        _logger.info("Serving version %s of %s.", version, self._model)
        return _Served(version, application)


async def _checked(request: Any, call_next: Any) -> Any:
    """Refuses what MLflow's server would ignore, such as a misspelt key, or would fail on."""
    from fastapi.responses import JSONResponse, Response
    from starlette.requests import ClientDisconnect

    try:
        _require_known_keys(await request.body())
        if request.method == "POST" and "content-type" not in request.headers:
            raise InvalidInput("A request must have a Content-Type, such as application/json. Received: none")
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    except InvalidInput as error:
        return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": str(error)}, 400)
    return await call_next(request)


def _require_known_keys(content: bytes) -> None:
    from mlflow.pyfunc.scoring_server import SUPPORTED_FORMATS

    try:
        body = json.loads(content or b"null", object_pairs_hook=_each_key_once, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidInput("A request must not be so deeply nested. Received: more levels than can be read") from None
    except ValueError:  # not JSON: MLflow's server answers that itself
        return
    if unknown := sorted(body.keys() - set(SUPPORTED_FORMATS)) if isinstance(body, dict) else []:
        rule = f"A request must have one of {', '.join(sorted(SUPPORTED_FORMATS))} and no other key"
        raise InvalidInput(f"{rule}. Received: {unknown[0][:60]}")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise InvalidInput(f"A request must have each key once. Received: {key[:60]} twice")
        values[key] = value
    return values


def _refuse_constant(text: str) -> Any:
    raise InvalidInput(f"A number in a request must be finite, as JSON requires. Received: {text}")


def watch(switch: Switch, every: float, ended: threading.Event) -> None:
    """Checks the alias every `every` seconds until `ended` is set."""
    while not ended.wait(every):
        try:
            switch.update()
        except Exception as error:  # after any failure the previous version is still served
            _logger.warning("The previous version is still served: %s", explain(error))


if __name__ == "__main__":
    run(main)
