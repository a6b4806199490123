"""Makes a version of a registered model the champion by hand, or restores the previous champion.

The version's tag `by_hand` records who did this, why and when. Registration respects the decision: it compares new
generators with the champion that a person chose, and does not promote a generator that a person demoted.
"""

from __future__ import annotations

import argparse
import getpass
import re
import uuid
from typing import Any

from components.registry import manual_decisions
from components.registry.manual_decisions import ManualDecision
from components.registry.registration_lock import registration_lock
from components.storage import paths
from components.tracking.failures import answered
from components.tracking.model_name import add_options, chosen_name
from components.tracking.server import connect
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run

_MOST_CHARACTERS = 500


def main() -> None:
    """Reads the command line and moves the champion."""
    arguments = parser().parse_args()
    decision = ManualDecision(_sentence("--by", arguments.by), _sentence("--reason", arguments.reason))
    with paths.local_paths(arguments) as local:
        name = chosen_name(local)
    print(move(name, _number(arguments.version), decision))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.promote", description=__doc__)
    target = options.add_mutually_exclusive_group(required=True)
    target.add_argument("--version", metavar="N", help="the version that becomes the champion")
    target.add_argument("--back", action="store_true", help="restore the previous champion")
    options.add_argument("--reason", required=True, help="reason for the record: one line")
    options.add_argument("--by", default=_user(), help="person for the record; default: the user's name")
    add_options(options)
    return options


def move(name: str, version: str | None, decision: ManualDecision) -> str:
    """Makes `version` of the model `name` the champion, or restores the previous champion if `version` is None.

    Returns:
        A sentence that says what was done.

    Raises:
        InvalidInput: there is no such model or version, or no previous champion.
        TryAgain: the server does not answer.
    """
    with answered("move the champion"):
        client = connect()
        _require(client, name, version)
        with registration_lock(client, name, f"by-hand-{uuid.uuid4().hex}") as require_lock:
            if version is None:
                if (moved := manual_decisions.restore_previous(client, name, decision, require_lock)) is None:
                    raise InvalidInput(
                        "--back needs a previous champion that is on record and still exists; otherwise name a "
                        f"version with --version. Received: --back, model {name}"
                    )
                return f"{name}: version {moved[1]} is the champion again, in place of version {moved[0]}."
            previous = manual_decisions.promote(client, name, version, decision, require_lock)
    if previous == version:
        return f"{name}: version {version} is the champion already; nothing was changed."
    return f"{name}: version {version} is the champion, in place of {f'version {previous}' if previous else 'none'}."


def _number(version: str | None) -> str | None:
    if version is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", version):
        raise InvalidInput(f"--version must be a version's number. Received: {version!r}")
    return str(int(version))


def _require(client: Any, name: str, version: str | None) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
        if version is not None:
            client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        received = f"version {version} of {name}" if version else name
        raise InvalidInput(f"The model and the version must be registered. Received: {received}") from None


def _sentence(option: str, text: str) -> str:
    if not text.strip() or len(text) > _MOST_CHARACTERS or not text.isprintable():
        raise InvalidInput(
            f"{option} must be a line of 1 to {_MOST_CHARACTERS} printable characters. Received: {text!r}"
        )
    return text.strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


if __name__ == "__main__":
    run(main)
