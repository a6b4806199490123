"""A connection to Kubeflow Pipelines that reports each failure in one sentence."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import shlex
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from gan_core.errors import InvalidInput, TryAgain
from gan_core.url_guard import require_server, require_token
from pipelines import package
from pipelines.parameters import Values

HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105
SYSTEM_NAMESPACE = "kubeflow"
PAGE_SIZE = 100
MOST_PAGES = 1000


@contextlib.contextmanager
def connected(host: str | None, namespace: str) -> Iterator[Any]:
    """Yields the SDK's client of the API at `host`, with the token of the environment.

    The client's `get_user_namespace()` is `namespace`, or empty for Kubeflow's own. A host for one user ignores it.

    Raises:
        InvalidInput: no host is given, it is not a Kubeflow API, it refuses the token or a request, or it is a
            multi-user host and `namespace` is Kubeflow's own.
        TryAgain: the host does not answer.
    """
    host = require_server(host or os.environ.get(HOST_VARIABLE) or "", f"--host or {HOST_VARIABLE}")
    token = require_token(TOKEN_VARIABLE)
    import kfp_server_api
    import urllib3

    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        yield _client(host, namespace, token)
    except kfp_server_api.ApiException as error:
        if error.status in (401, 403):
            raise InvalidInput(
                f"The host refuses the token in {TOKEN_VARIABLE} ({error.status}): {_reason(error)}. Received: {host}"
            ) from None
        if error.status == 429 or error.status >= 500:
            raise TryAgain(f"The host answers {error.status} {error.reason}. Received: {host}") from None
        raise InvalidInput(f"The host refuses the request: {_reason(error)}. Received: {host}") from None
    except urllib3.exceptions.HTTPError as error:
        raise TryAgain(f"The host does not answer ({type(error).__name__}). Received: {host}") from None


def _client(host: str, namespace: str, token: str | None) -> Any:
    import kfp_server_api
    from kfp import Client

    from pipelines.limits import LimitedClient

    configuration = kfp_server_api.Configuration(host=host.rstrip("/"))
    if token:
        configuration.api_key = {"authorization": token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
    # Check the token first, because the client's own check takes 25 seconds to report a wrong token.
    health = kfp_server_api.HealthzServiceApi(LimitedClient(configuration)).healthz_service_get_healthz()
    if health.multi_user and namespace == SYSTEM_NAMESPACE:
        raise InvalidInput(f"On a multi-user host, --namespace must name your own namespace. Received: {namespace}")
    # The SDK's Client creates its own ApiClient, sends a request meanwhile, and accepts no time limit.
    unlimited, kfp_server_api.ApiClient = kfp_server_api.ApiClient, LimitedClient
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return Client(host=host, existing_token=token, namespace=namespace)
    finally:
        kfp_server_api.ApiClient = unlimited


def _reason(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"


def pages(call: Callable[..., Any], items: str, **arguments: Any) -> Iterator[Any]:
    """Yields every item of a listing: calls `call` page by page and reads the attribute `items` of each answer.

    Raises:
        InvalidInput: the listing does not end.
    """
    token, known = "", {""}
    for _ in range(MOST_PAGES):
        page = call(page_token=token, page_size=PAGE_SIZE, **arguments)
        yield from (item for item in getattr(page, items) or [] if item is not None)
        token = page.next_page_token or ""
        if not token:
            return
        if token in known:
            break
        known.add(token)
    raise InvalidInput(
        f"A listing by the host must end after at most {MOST_PAGES} pages, each with its own token. Received: more"
    )


def find_pipeline(client: Any, name: str, namespace: str) -> str | None:
    """Returns the identifier of the pipeline `name` of a user's namespace, or of the shared one if that is empty."""
    equals = {"operation": 1, "key": "display_name", "stringValue": name}
    named = {"namespace": namespace or None, "filter": json.dumps({"predicates": [equals]})}
    found = next(pages(client.list_pipelines, "pipelines", **named), None)
    return str(found.pipeline_id) if found else None


def find_version(client: Any, pipeline: str, version: str) -> Any:
    """Returns the version `version` of the pipeline `pipeline`, which is the user's own or a shared one.

    Raises:
        InvalidInput: there is no such pipeline or version; the message lists the existing ones.
    """
    namespaces = dict.fromkeys((client.get_user_namespace(), ""))
    found_ids = (find_pipeline(client, pipeline, namespace) for namespace in namespaces)
    pipeline_id = next(filter(None, found_ids), None)
    if pipeline_id is None:
        listed = (pages(client.list_pipelines, "pipelines", namespace=namespace or None) for namespace in namespaces)
        known = sorted(str(found.display_name) for found in itertools.chain.from_iterable(listed))
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
    """Returns the pipeline specification of a published version, stored with or without a platform specification.

    Raises:
        InvalidInput: the version does not hold a pipeline.
    """
    stored = version.pipeline_spec
    inner = stored.get("pipeline_spec", stored) if isinstance(stored, dict) else stored
    return package.checked(inner, f"the version {version.display_name}")


def find_experiment(client: Any, name: str) -> str:
    """Returns the identifier of the experiment `name`.

    Raises:
        InvalidInput: there is no such experiment; the message lists the existing ones.
    """
    known = {
        str(found.display_name): str(found.experiment_id)
        for found in pages(client.list_experiments, "experiments")
        if found.display_name and found.experiment_id
    }
    if name not in known:
        raise InvalidInput(
            f"The experiment must be one of {', '.join(sorted(known)) or 'none yet'} "
            f"(create it with `kfp experiment create {shlex.quote(name)}`). Received: {name}"
        )
    return known[name]
