"""The report of a run's final state, sent to a real HTTPS server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest
from certificates import self_signed
from local_servers import QuietHandler, serving

from components.report_status import message, parse_status, send
from components.tracking.server import connect
from gan_core.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
FAILED = '{"state": "FAILED", "pipelineTaskName": "exit-handler-1", "error": {"message": "train failed"}}'


class Webhook(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, object]] = []
        self.redirect = False

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}/secret-path"


class _Handler(QuietHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(302 if self.server.redirect else 200)
        if self.server.redirect:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        """Records a client that followed the redirect."""
        self.server.received.append((self.path, None))
        self.send_response(200)
        self.end_headers()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return self_signed(tmp_path)


@pytest.fixture
def webhook(certificate: tuple[Path, Path]) -> Iterator[Webhook]:
    with serving(Webhook(), certificate) as server:
        yield server


def report(status: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "components.report_status", "--pipeline", "gan-training-cpu", "--status", status],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        | {"KFP_RUN_ID": "1234", "GAN_PIPELINE_PRIVATE_HOSTS": "127.0.0.1"}
        | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_webhook_receives_the_printed_sentence(webhook: Webhook, certificate: tuple[Path, Path]) -> None:
    done = report(FAILED, RUN_STATUS_WEBHOOK_URL=webhook.address, SSL_CERT_FILE=str(certificate[0]))
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == "gan-training-cpu: run 1234 ended FAILED: train failed. The run's page shows the step that failed\n"
    )
    assert webhook.received == [("/secret-path", {"text": done.stdout.strip()})]


def test_the_message_names_the_version_that_the_run_registered(project: Path) -> None:
    client = connect()
    client.create_registered_model("generator")
    tags = {"kfp_run_id": "1234", "decision": json.dumps({"decision": "champion", "reason": "There was no champion."})}
    client.create_model_version("generator", "file:///elsewhere", tags=tags)
    server = {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"}
    first, second = (report('{"state": "SUCCEEDED"}', KFP_RUN_ID=run, **server) for run in ("1234", "5678"))
    assert (first.stderr, second.stderr) == ("", "")
    assert first.stdout == (
        "gan-training-cpu: run 1234 ended SUCCEEDED. generator version 1: champion. There was no champion.\n"
    )
    assert second.stdout == "gan-training-cpu: run 5678 ended SUCCEEDED. Nothing new was registered.\n"


def test_an_unreachable_registry_does_not_fail_the_step() -> None:
    done = report(
        '{"state": "SUCCEEDED"}', MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"
    )
    assert (done.returncode, done.stdout) == (0, "gan-training-cpu: run 1234 ended SUCCEEDED\n")
    assert done.stderr.startswith("warning: the registry does not answer: ")


def test_kubeflow_reports_the_state_running_after_a_cancelled_run() -> None:
    assert message("p", "RUNNING", None, "1", None) == "p: run 1 was cancelled, or reached its deadline"


@pytest.mark.parametrize("state", ["SUCCEEDED", "COMPLETE", "CANCELED"])
def test_the_message_names_the_final_state(state: str) -> None:
    """Kubeflow's local runner reports SUCCEEDED, and a cluster reports COMPLETE."""
    assert message("p", *parse_status(json.dumps({"state": state, "error": {}})), None, None) == f"p: run ended {state}"


def test_a_redirect_is_not_followed(webhook: Webhook, certificate: tuple[Path, Path]) -> None:
    webhook.redirect = True
    done = report(FAILED, RUN_STATUS_WEBHOOK_URL=webhook.address, SSL_CERT_FILE=str(certificate[0]))
    assert [path for path, _ in webhook.received] == ["/secret-path"]
    assert (done.returncode, "answered 302" in done.stderr) == (0, True)


def test_no_secret_of_a_failed_step_is_passed_on(webhook: Webhook, certificate: tuple[Path, Path]) -> None:
    failed = json.dumps({"state": "FAILED", "error": {"message": "no way to https://user:hunter2@host/x?k=hunter2"}})
    done = report(failed, RUN_STATUS_WEBHOOK_URL=webhook.address, SSL_CERT_FILE=str(certificate[0]))
    ((_, sent),) = webhook.received
    assert "no way to https://host/x?…" in str(sent)
    assert "hunter2" not in str(sent) + done.stdout + done.stderr


@pytest.mark.parametrize("trusted", [True, False])
def test_an_unreachable_or_untrusted_webhook_does_not_fail_the_step(
    trusted: bool, webhook: Webhook, certificate: tuple[Path, Path]
) -> None:
    address = "https://127.0.0.1:9/secret-path" if trusted else webhook.address
    done = report(FAILED, RUN_STATUS_WEBHOOK_URL=address)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: the webhook could not be reached")
    assert webhook.received == []


@pytest.mark.parametrize("address", ["http://example.com/secret-path", "file:///etc/secret-path", "secret-path"])
def test_only_https_addresses_are_accepted_and_their_secret_is_not_printed(address: str) -> None:
    done = report(FAILED, RUN_STATUS_WEBHOOK_URL=address)
    assert done.returncode == 2
    assert "must be an https:// address" in done.stderr
    assert "secret-path" not in done.stdout + done.stderr


def test_a_private_address_is_refused_unless_it_is_listed(webhook: Webhook, certificate: tuple[Path, Path]) -> None:
    done = report(
        FAILED,
        RUN_STATUS_WEBHOOK_URL=webhook.address,
        SSL_CERT_FILE=str(certificate[0]),
        GAN_PIPELINE_PRIVATE_HOSTS="other.example",
    )
    assert done.returncode == 2
    assert "must lead to a public host" in done.stderr
    assert "secret-path" not in done.stdout + done.stderr
    assert webhook.received == []


@pytest.mark.parametrize("status", ["", "[]", "{}", "{", "null", '"FAILED"', "[" * 100_000])
def test_an_invalid_status_is_refused(status: str) -> None:
    with pytest.raises(InvalidInput, match="--status must be a JSON object with 'state'"):
        parse_status(status)


@pytest.mark.parametrize("error", ["boom", ["boom"], 5, None])
def test_an_error_of_another_form_is_still_reported(error: object) -> None:
    assert message("p", *parse_status(json.dumps({"state": "FAILED", "error": error})), None, None).startswith(
        "p: run ended FAILED"
    )


@pytest.mark.parametrize("address", ["https://h/geh€im", f"https://{'a' * 64}.example/x", "https://[::1/x"])
def test_an_invalid_webhook_address_is_refused_without_printing_it(address: str) -> None:
    with pytest.raises(InvalidInput, match="must have a valid host and only ASCII characters") as refused:
        send(address, "text")
    assert address not in str(refused.value)
