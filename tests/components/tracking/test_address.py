"""Invalid settings of MLflow are refused at once, and their secrets are not shown."""

from __future__ import annotations

import pytest

from components.tracking import server
from components.tracking.address import registry_uri, tracking_uri
from gan_core.exit_codes import run


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
@pytest.mark.parametrize(
    "address",
    [
        *("http://user:x/hunter2@127.0.0.1:9", "http://user:x hunter2@127.0.0.1:9", "user:hunter2@127.0.0.1"),
        *("http://127.0.0.1:9/?token=hunter2", "https://host:port", "http:/host", "https://"),
    ],
)
def test_an_invalid_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(SystemExit) as ended:
        run(tracking_uri if variable == "MLFLOW_TRACKING_URI" else registry_uri)
    message = capsys.readouterr().err
    assert (ended.value.code, f"{variable} must be an http:// or https:// address" in message) == (2, True)
    assert "hunter2" not in message


def test_a_valid_address_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("https://user:p%40w@mlflow.example.com:8443/path", "http://[::1]:5000", "databricks://profile"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert tracking_uri() == address


def test_a_token_that_cannot_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(SystemExit) as ended:
        run(server.connect)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: MLFLOW_TRACKING_TOKEN must be one token")
