"""Masks secrets in everything that a command prints and everything that it sends to MLflow and to a webhook."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import urllib.parse
from collections.abc import Iterator

SHORTEST_SECRET = 4  # characters; masking a shorter secret everywhere would hide the message

_SECRET_VARIABLE = re.compile(
    r"(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIALS?|APIKEY)(_|$)|(^|_)(KEY|PASS|PAT|AUTH|COOKIE|WEBHOOK)(_|$)"
    r"|^MLFLOW_TRACKING_USERNAME$"
)
_NAMES_AN_ADDRESS = re.compile(r"(?i)_(URI|URL|HOST|ENDPOINT|PROXY)$")
_NAMES_A_PLACE = re.compile(r"_(FILE|PATH|DIR|SOCK)$")
_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*:)?//(?P<rest>\S+?)(?=[\"')\]},.;:]*(\s|$))")
_USER_WITHOUT_SLASHES = re.compile(r"(?<![\w./@-])[\w.+-]+:[^\s/@'\"]+@(?!sha256:)(?=\w)")
_QUERY_WITHOUT_HOST = re.compile(r"\?[\w.%\[\]-]+=[^\s'\"]*")
_HEADER = re.compile(r"(?i)(\bauthorization['\"]?\s*[:=]\s*['\"]?)(\w+ )?[^\s'\"]+|(\bbearer )[^\s'\"]{6,}")
_LOOKS_LIKE_AN_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*:(?=\S)[^\n]*[@?]")
_WITHOUT_USERS = ("gs:", "s3:", "models:/")


def is_secret(name: str, value: str) -> bool:
    """Whether an environment variable's value must be masked, by its name. The path of a file is not a secret."""
    is_path = _NAMES_A_PLACE.search(name) or ("CREDENTIALS" in name and value.startswith("/"))
    return bool(_SECRET_VARIABLE.search(name)) and not is_path


def masked(text: str) -> str:
    """Returns the text without secrets: users and queries of addresses, and secret values of environment variables.

    If a password makes it unclear where an address's host begins, the whole address is masked.
    """
    for secret in _secrets():
        if secret in text:
            # A short secret is masked as a whole word, not within other words.
            pattern = rf"(?<!\w){re.escape(secret)}(?!\w)" if len(secret) < 8 else re.escape(secret)
            text = re.sub(pattern, "…", text)
    text = _HEADER.sub(lambda match: f"{match[1] or match[3]}…", text)
    text = _ADDRESS.sub(_masked_address, text)
    return _QUERY_WITHOUT_HOST.sub("?…", _USER_WITHOUT_SLASHES.sub("", text))


def _masked_address(match: re.Match[str]) -> str:
    scheme, rest = match["scheme"] or "", match["rest"]
    before, hash_sign, fragment = rest.partition("#")
    before, question_mark, query = before.partition("?")
    if "@" in query or "@" in fragment:
        return f"{scheme}//…"
    if "=" in fragment and not fragment.startswith("sha256="):
        fragment = "…"
    # An object's name may contain an @; a bucket's address has no user.
    user = before.partition("/")[0].rpartition("@")[0] if scheme in _WITHOUT_USERS else before.rpartition("@")[0]
    if user and not before.startswith("/"):
        before = before[len(user) + 1 :]
    return f"{scheme}//{before}{question_mark and '?…'}{hash_sign}{fragment}"


def _secrets() -> list[str]:
    """Returns all values that must not be shown, in every spelling, longest first."""
    values: set[str] = set()
    for name, value in os.environ.items():
        if is_secret(name, value):
            # A webhook's secret is its path.
            path = re.sub(r"^[A-Za-z][\w+.-]*://[^/]*", "", value)
            values |= {value, value.strip(), *value.splitlines(), path}
        elif _NAMES_AN_ADDRESS.search(name) or re.match(r"[A-Za-z][\w+.-]*://", value):
            values |= _parts_of_address(value)
    for argument in sys.argv[1:]:
        for text in _texts(argument):
            if _LOOKS_LIKE_AN_ADDRESS.match(text):
                values |= _parts_of_address(text)
    spellings = {text for value in values for text in _spellings(value) if len(text.strip()) >= SHORTEST_SECRET}
    return sorted(spellings, key=len, reverse=True)


def _spellings(value: str) -> tuple[str, ...]:
    """Returns the value unchanged, escaped in Python and in JSON, and encoded for an address's user, path and query."""
    encoded = value.encode(errors="surrogatepass")
    in_address = (urllib.parse.quote(encoded, safe=""), urllib.parse.quote(encoded), urllib.parse.quote_plus(encoded))
    return value, repr(value)[1:-1], json.dumps(value)[1:-1], *in_address


def _texts(argument: str) -> Iterator[str]:
    """Yields the texts in an argument: all strings of a JSON value, or the argument and the value in `key=value`."""
    if argument[:1] in ("{", "["):
        with contextlib.suppress(ValueError, RecursionError):
            stack = [json.loads(argument)]
            while stack:
                value = stack.pop()
                if isinstance(value, str):
                    yield value
                elif isinstance(value, dict | list):
                    stack += value.values() if isinstance(value, dict) else value
        return
    yield argument
    yield argument.partition("=")[2]


def _parts_of_address(address: str) -> set[str]:
    """Returns the secrets in an address, and parts of its password that a library may show."""
    scheme = re.match(r"[A-Za-z][\w+.-]*:(//)?(?=.*[:@?])", address)
    rest = address[scheme.end() :] if scheme and ("//" in scheme[0] or ":" in address[scheme.end() :]) else address
    if rest.startswith("/") or address.startswith(_WITHOUT_USERS):
        return set()
    secrets = set()
    user, at, host = rest.rpartition("@")
    if at and not host.startswith("sha256:"):
        name, colon, password = user.partition(":")
        secret = password if colon else name
        if colon or "/" not in secret:
            secrets |= {secret, *re.split(r"[\s:/@?#]+", secret)}
    for value in re.findall(r"[?&][^=&\s]*=([^&#]+)", rest):
        secrets |= {value} if len(value) >= 6 else set()
    return secrets
