"""Reports how a Kubeflow run ended and what it registered, in the log and to a webhook if one is configured.

The webhook's address, in RUN_STATUS_WEBHOOK_URL, is a secret and is never printed. The webhook receives
`{"text": "…"}`, which Slack, Mattermost and Google Chat show as a message.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

from gan_core.deadline import within
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run
from gan_core.masking import masked
from gan_core.url_guard import open_public

WEBHOOK_VARIABLE = "RUN_STATUS_WEBHOOK_URL"
TIMEOUT_SECONDS = 10


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.report_status", description=__doc__)
    options.add_argument("--pipeline", required=True, help="name of the pipeline")
    options.add_argument(
        "--status", required=True, metavar="JSON", help="Kubeflow's PipelineTaskFinalStatus of the steps"
    )
    return options


def message(pipeline: str, status: str, run_id: str | None) -> str:
    """One sentence: which run ended, and in which state.

    Kubeflow also runs this step after a run that was cancelled or reached its deadline. The reported state is then that
    of the run's steps, RUNNING.

    Args:
        pipeline: its name.
        status: JSON with `state` (SUCCEEDED, COMPLETE, FAILED, …) and, on a failure, `error.message`.
        run_id: the Kubeflow run's identifier; None if it is unknown.

    Raises:
        InvalidInput: `status` has no state.
    """
    try:
        fields = json.loads(status)
        state = fields["state"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise InvalidInput(f"--status must be a JSON object with 'state'. Received: {status}") from None
    error = fields.get("error")
    reason = error.get("message") if isinstance(error, dict) else error
    name = f"run {run_id}" if run_id else "run"
    ended = "was cancelled, or reached its deadline" if state == "RUNNING" else f"ended {state}"
    return f"{pipeline}: {name} {ended}" + (f": {reason}" if reason else "")


def registered(run_id: str) -> str:
    """A sentence that says what the run registered; empty if the registry does not answer.

    A version is tagged with the run that registered it. A run that found all its work already done has no version.
    """
    from components.tracking.failures import explain
    from components.tracking.server import connect

    try:
        versions = connect().search_model_versions(f"tags.kfp_run_id = '{run_id}'")
    except Exception as error:  # a registry failure must not hide how the run ended
        print(f"warning: the registry does not answer: {explain(error)}", file=sys.stderr)
        return ""
    if not versions:
        return "Nothing new was registered."
    try:
        decision = json.loads(versions[0].tags.get("decision", "{}"))
        parts = [str(decision[key]) for key in ("decision", "reason") if key in decision]
    except (ValueError, RecursionError, TypeError):
        parts = ["its decision cannot be read"]
    return f"{versions[0].name} version {versions[0].version}: {'. '.join(parts)}"


def send(address: str, text: str) -> None:
    """Posts `text` to the webhook.

    Raises:
        InvalidInput: `address` is not https, or its host is not public. The message omits the address, which is secret.
        OSError, http.client.HTTPException: the webhook does not answer, or refuses.
    """
    if not address.lower().startswith("https://"):
        raise InvalidInput(f"The webhook in {WEBHOOK_VARIABLE} must be an https:// address. Received: another scheme")
    try:
        urllib.parse.urlsplit(address).netloc.encode("idna")
        address.encode("ascii")
    except ValueError:
        raise InvalidInput(
            f"The webhook in {WEBHOOK_VARIABLE} must have a valid host and only ASCII characters. Received: another one"
        ) from None
    request = urllib.request.Request(  # noqa: S310
        address, json.dumps({"text": masked(text)}).encode(), {"Content-Type": "application/json"}
    )
    # A redirect would carry the message to an address that nobody configured.
    within(2 * TIMEOUT_SECONDS, lambda: open_public(request, TIMEOUT_SECONDS, redirects=False).close())


def main() -> None:
    """Reports the status. An unreachable webhook causes only a warning, because it does not affect the run."""
    arguments = parser().parse_args()
    run_id = os.environ.get("KFP_RUN_ID")
    text = message(arguments.pipeline, arguments.status, run_id)
    if run_id and os.environ.get("MLFLOW_TRACKING_URI") and (outcome := registered(run_id)):
        text = f"{text}. {outcome}"
    print(text)
    address = os.environ.get(WEBHOOK_VARIABLE)
    if not address:
        return
    try:
        send(address, text)
    except urllib.error.HTTPError as error:
        print(f"warning: the webhook answered {error.code}; message not sent", file=sys.stderr)
    except (OSError, http.client.HTTPException) as error:
        print(
            f"warning: the webhook could not be reached ({type(error).__name__}); message not sent",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
