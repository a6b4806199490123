"""A connection to Kubeflow Pipelines, with its failures in one sentence each."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from gan_core.errors import InvalidInput, TryAgain
from pipelines.parameters import Values

HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105
PAGE_SIZE = 100


@contextlib.contextmanager
def connected(host: str | None, namespace: str) -> Iterator[Any]:
    """Yields the SDK's client of the API at `host`, with the token of the environment.

    Raises:
        InvalidInput: there is no host, it is no Kubeflow API, or it refuses the token or a request.
        TryAgain: it does not answer.
    """
    host = host or os.environ.get(HOST_VARIABLE)
    if not host or not host.startswith(("http://", "https://")):
        raise InvalidInput(f"--host or {HOST_VARIABLE} must be an http:// or https:// address. Received: {host}")
    import kfp_server_api
    import urllib3

    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        yield _client(host, namespace)
    except kfp_server_api.ApiException as error:
        if error.status in (401, 403):
            raise InvalidInput(
                f"The host refuses the token in {TOKEN_VARIABLE} ({error.status}). Received: {host}"
            ) from None
        if error.status == 429 or error.status >= 500:
            raise TryAgain(f"The host answers {error.status} {error.reason}. Received: {host}") from None
        raise InvalidInput(f"The host refuses the request: {_reason(error)}. Received: {host}") from None
    except urllib3.exceptions.HTTPError as error:
        raise TryAgain(f"The host does not answer ({type(error).__name__}). Received: {host}") from None


def _client(host: str, namespace: str) -> Any:
    import kfp_server_api
    from kfp import Client

    token = os.environ.get(TOKEN_VARIABLE)
    configuration = kfp_server_api.Configuration(host=host.rstrip("/"))
    if token:
        configuration.api_key = {"authorization": token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
    # Asked first here: the client's own check takes 25 seconds to say that a token is wrong.
    health = kfp_server_api.HealthzServiceApi(kfp_server_api.ApiClient(configuration))
    answer = health.healthz_service_get_healthz(_request_timeout=10, _preload_content=False)
    try:
        json.loads(answer.data)
    except ValueError:
        raise InvalidInput(
            f"The host must be a Kubeflow Pipelines API; a login page wants a token in {TOKEN_VARIABLE}. "
            f"Received: {host}"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return Client(host=host, existing_token=token, namespace=namespace)


def _reason(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"


def pages(call: Callable[..., Any], items: str, **arguments: Any) -> Iterator[Any]:
    """Every item of a listing: `call` is asked page by page, its answer holds them in the attribute `items`."""
    token = ""
    while True:
        page = call(page_token=token, page_size=PAGE_SIZE, **arguments)
        yield from getattr(page, items) or []
        token = page.next_page_token
        if not token:
            return


def find_version(client: Any, pipeline: str, version: str) -> Any:
    """The version `version` of the pipeline `pipeline`.

    Raises:
        InvalidInput: there is no such pipeline or version; the ones that exist are named.
    """
    pipeline_id = client.get_pipeline_id(pipeline)
    if pipeline_id is None:
        known = sorted(str(found.display_name) for found in pages(client.list_pipelines, "pipelines"))
        raise InvalidInput(f"The pipeline must be one of {', '.join(known) or 'none yet'}. Received: {pipeline}")
    known = []
    for found in pages(client.list_pipeline_versions, "pipeline_versions", pipeline_id=pipeline_id):
        if found.display_name == version:
            return found
        known.append(str(found.display_name))
    raise InvalidInput(
        f"The version of {pipeline} must be one of {', '.join(known) or 'none yet'}. Received: {version}"
    )


def specification_of(version: Any) -> Values:
    """The specification of a published version, with or without its platform's part beside it."""
    stored: Values = version.pipeline_spec
    specification: Values = stored.get("pipeline_spec", stored)
    return specification


def find_experiment(client: Any, name: str) -> str:
    """The identifier of the experiment `name`.

    Raises:
        InvalidInput: there is none; the ones that exist are named.
    """
    known = {found.display_name: found.experiment_id for found in pages(client.list_experiments, "experiments")}
    if name not in known:
        raise InvalidInput(
            f"The experiment must be one of {', '.join(sorted(known)) or 'none yet'} "
            f"(`kfp experiment create {name}` makes it). Received: {name}"
        )
    return str(known[name])
