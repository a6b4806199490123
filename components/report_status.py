"""Reports how a Kubeflow run ended, why, and what it registered, in the log and to a webhook if one is configured.

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
from typing import TYPE_CHECKING

from gan_core.deadline import within
from gan_core.errors import InvalidInput, TryAgain
from gan_core.exit_codes import run
from gan_core.masking import masked
from gan_core.printing import printable
from gan_core.url_guard import open_public

if TYPE_CHECKING:
    from components.kubeflow_run import KubeflowRun

WEBHOOK_VARIABLE = "RUN_STATUS_WEBHOOK_URL"
TIMEOUT_SECONDS = 10
SUCCESSES = ("SUCCEEDED", "COMPLETE")  # of Kubeflow's local runner, and of a cluster


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.report_status", description=__doc__)
    options.add_argument("--pipeline", required=True, help="name of the pipeline")
    options.add_argument(
        "--status", required=True, metavar="JSON", help="Kubeflow's PipelineTaskFinalStatus of the steps"
    )
    options.add_argument(
        "--delete-trainjobs", action="store_true", help="delete the TrainJobs of a run that did not succeed"
    )
    return options


def parse_status(status: str) -> tuple[str, object]:
    """Returns the final state, such as SUCCEEDED, COMPLETE or FAILED, and the reason of a failure, which may be empty.

    Args:
        status: JSON with `state` and, on a failure, `error.message`.

    Raises:
        InvalidInput: `status` has no state.
    """
    try:
        fields = json.loads(status)
        state, error = str(fields["state"]), fields.get("error")
    except (ValueError, RecursionError, KeyError, TypeError):
        raise InvalidInput(f"--status must be a JSON object with 'state'. Received: {status}") from None
    return state, error.get("message") if isinstance(error, dict) else error


def message(pipeline: str, state: str, reason: object, run_id: str | None, run: KubeflowRun | None) -> str:
    """One line: which run ended, in which state, which steps failed and why, and where to read more.

    Kubeflow also runs this step after a run that was cancelled or reached its deadline. The reported state is then that
    of the run's steps, RUNNING.

    Args:
        pipeline: its name.
        state: as from `parse_status`.
        reason: as from `parse_status`.
        run_id: the Kubeflow run's identifier; None if it is unknown.
        run: what Kubeflow's API says about the run; None if it says nothing.
    """
    ended = f"ended {state}"
    if run and run.cancelled:
        ended = "was cancelled"
    elif state == "RUNNING":
        ended = "reached its deadline" if run else "was cancelled, or reached its deadline"
    text = f"{pipeline}: {f'run {run_id}' if run_id else 'run'} {ended}" + (f": {reason}" if reason else "")
    if run is None:
        return text + (". The run's page shows the step that failed" if run_id and state == "FAILED" else "")
    for step in () if run.cancelled else run.failed:
        text += f". {step.name} failed" + (f": {step.reason.removesuffix('.')}" if step.reason else "")
        text += f". Its log: kubectl -n {run.namespace} logs {step.pod} -c main"
    return text


def ask_kubeflow(run_id: str) -> KubeflowRun | None:
    """Returns what Kubeflow's API says about the run; None if it says nothing, with a warning if it should."""
    from components.kubeflow_run import SERVER_VARIABLE, read_run

    try:
        return read_run(run_id) if SERVER_VARIABLE in os.environ else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"warning: Kubeflow does not say why the run ended: {printable(str(error))}", file=sys.stderr)
        return None


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


def delete_trainjobs(run_id: str) -> str:
    """Deletes the TrainJobs of the run, which train on after a cancelled step; returns a sentence, or nothing."""
    from components.trainer.jobs import trainjobs_of

    try:
        found = trainjobs_of(run_id)
        for job in found:
            job.delete()
    except (InvalidInput, TryAgain) as error:
        print(f"warning: TrainJobs of the run may go on until their deadline: {error}", file=sys.stderr)
        return ""
    return f"Deleted: TrainJob {', '.join(job.name for job in found)}" if found else ""


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
    state, reason = parse_status(arguments.status)
    run = ask_kubeflow(run_id) if run_id and state not in SUCCESSES else None
    text = message(arguments.pipeline, state, reason, run_id, run)
    if run_id and os.environ.get("MLFLOW_TRACKING_URI") and (outcome := registered(run_id)):
        text = f"{text}. {outcome}"
    if arguments.delete_trainjobs and run_id and state not in SUCCESSES and (deleted := delete_trainjobs(run_id)):
        text = f"{text.removesuffix('.')}. {deleted}"
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
