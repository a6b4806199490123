"""Tests that secrets are masked in every kind of text in which one has appeared."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_core.masking import masked

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no address? none", "no address? none"),
        ("https://user:pw@host/a", "https://host/a"),
        ("see postgresql://mlflow:pw@host:5432/db.", "see postgresql://host:5432/db."),
        ("https://host/a.pth?token=t&x=1 failed", "https://host/a.pth?… failed"),
        ("'https://h/a?sig=s'", "'https://h/a?…'"),
        ("https://h/a?sig=s#sha256=00", "https://h/a?…#sha256=00"),
        ("https://h/a#access_token=s", "https://h/a#…"),
        ("https://user:a@b@host/x, https://user:a/b@host/x", "https://host/x, https://host/x"),
        ("https://user:a?b@host/x", "https://…"),
        ("https:user:pw@host/x and user:pw@host", "host/x and host"),
        ("Max retries exceeded with url: /api?token=t (Caused", "Max retries exceeded with url: /api?… (Caused"),
        ("{'Authorization': 'Basic dXNlcjpwdw=='}", "{'Authorization': '…'}"),
        ("header value: 'Bearer abcdefgh'", "header value: 'Bearer …'"),
        # Text that is not a secret stays.
        ("gs://bucket/a@b", "gs://bucket/a@b"),
        ("gs://bucket/data#sha256-00", "gs://bucket/data#sha256-00"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("registry.example.com:5000/gan:v1@sha256:00", "registry.example.com:5000/gan:v1@sha256:00"),
        ("md5: a.dir, path: cats@2", "md5: a.dir, path: cats@2"),
        ("error at a/b.py: 3 of 4?", "error at a/b.py: 3 of 4?"),
    ],
)
def test_secrets_in_addresses_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@given(st.text(st.characters(codec="ascii", exclude_characters=" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"), min_size=8))
def test_every_password_and_query_is_masked(secret: str) -> None:
    assert secret not in masked(f"error: https://u:{secret}@host/path and more")
    if not set(secret) & set("#'\""):
        assert secret not in masked(f"error: https://u@host/path?key={secret} and more")


VARIABLES = (
    *("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_USERNAME", "KF_PIPELINES_TOKEN"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_API_KEY", "RUN_STATUS_WEBHOOK_URL", "PGPASSWORD"),
)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("secret", ["hunter2", "x/hunter2 @ #ü", "hunter2\n", "-----BEGIN-----\nhunter2\n---END---"])
def test_secrets_in_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch, variable: str, secret: str) -> None:
    monkeypatch.setenv(variable, secret)
    spellings = (secret, repr(secret), json.dumps(secret), urllib.parse.quote(secret), urllib.parse.quote_plus(secret))
    for text in (*spellings, secret.strip(), *secret.splitlines()):
        if "hunter2" in text:
            assert "hunter2" not in masked(f"invalid header {text} of 3"), text


@pytest.mark.parametrize("argument", ["gs://bucket/cats@2", "models:/cats@champion", "--model=models:/cats@champion"])
def test_addresses_without_a_login_stay(monkeypatch: pytest.MonkeyPatch, argument: str) -> None:
    monkeypatch.setattr(sys, "argv", ["command", argument])
    assert masked(f"Received: {argument}") == f"Received: {argument}"


@pytest.mark.parametrize(
    "address", ["http://user:x/hunter2@host", "http://user:x hunter2@host", "http://host/?token=hunter2", "u:hunter2@h"]
)
def test_parts_of_a_password_are_masked(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """A library that misreads the address may print its parts."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert "hunter2" not in masked("nonnumeric port: 'hunter2'; url: /hunter2@host/api")
    assert "hunter2" not in masked(f"Received: {address}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for argument in (address, f"a.b={address}", json.dumps({"a": [address]})):
        monkeypatch.setattr(sys, "argv", ["command", argument])
        if "://" in address:
            assert "hunter2" not in masked("nonnumeric port: 'hunter2'; url: /hunter2@host/api")


def test_other_values_are_not_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GOOGLE_APPLICATION_CREDENTIALS": "/keys/account.json",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token",
        "TOKENIZERS_PARALLELISM": "false",
        "PATH": "/opt/openssl@3/bin:/usr/bin",
        "KF_PIPELINES_TOKEN": "red",
        "MLFLOW_TRACKING_URI": "https://mlflow.example.com:8443/path",
    }.items():
        monkeypatch.setenv(name, value)
    text = "false: /keys/account.json, /run/token, hundred red /opt/openssl, https://mlflow.example.com:8443/path"
    assert masked(text) == text
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "gene")
    assert masked("generator gene") == "generator …"


def test_warnings_and_tracebacks_are_masked() -> None:
    code = (
        "import os, warnings\nfrom gan_core.exit_codes import run\nos.environ['X_TOKEN'] = 'hun' + 'ter2'\n"
        "def main():\n    warnings.warn('warned ' + os.environ['X_TOKEN'])\n"
        "    raise RuntimeError('ours', os.environ['X_TOKEN'])\nrun(main)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, "RuntimeError: ('ours', '…')" in ended.stderr) == (1, True), ended.stderr
    assert "UserWarning: warned …" in ended.stderr
    assert "hunter2" not in ended.stderr
