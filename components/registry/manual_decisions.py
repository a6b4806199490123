"""Manual decisions about the champion, recorded in the versions' tag `by_hand`: who, why and when."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

_TAG = "by_hand"
_MOST_MOVES = 50  # a version's record keeps only the latest moves, because MLflow limits the length of tags


class ManualDecision(NamedTuple):
    """Who moves the champion, and why. The names of the fields are keys of the stored record."""

    by: str
    why: str


def promote(
    client: Any, model: str, target: str, decision: ManualDecision, require_lock: Callable[[], None]
) -> str | None:
    """Makes version `target` of the model the champion; call it while holding the model's registration lock.

    Returns:
        The previous champion: `target` itself if it was the champion already, None if there was none.
    """
    champion = _champion(client, model)
    if champion != target:
        require_lock()
        _record(client, model, target, decision, move="promoted", before=champion)
        if champion is not None:
            _record(client, model, champion, decision, move="replaced", after=target)
        require_lock()
        _make_champion(client, model, target)
    return champion


def restore_previous(
    client: Any, model: str, decision: ManualDecision, require_lock: Callable[[], None]
) -> tuple[str, str] | None:
    """Makes the previous champion the champion again; call it while holding the model's registration lock.

    Returns:
        The replaced version and the restored one; None if no previous champion is on record or it no longer exists.
    """
    champion = _champion(client, model)
    previous = _previous_champion(client, model, champion) if champion else None
    if champion is None or previous is None or not _exists(client, model, previous):
        return None
    require_lock()
    _record(client, model, champion, decision, move="taken back", after=previous)
    _record(client, model, previous, decision, move="returned", before=champion)
    require_lock()
    _make_champion(client, model, previous)
    return champion, previous


def demotion(client: Any, model: str, generator_digest: str) -> str | None:
    """Returns a sentence about this generator's manual demotion; None if its latest manual move is not a demotion."""
    versions = client.search_model_versions(f"name = '{model}' and tags.generator_digest = '{generator_digest}'")
    moves = [(move["when"], str(version.version), move) for version in versions for move in _moves(version.tags)]
    _, number, last = max(moves, key=lambda move: move[:2], default=("", "", {"move": ""}))
    if last["move"] not in ("replaced", "taken back"):
        return None
    return (
        f"{last['by']} demoted version {number}, the same generator, on {last['when'][:10]}, with the reason: "
        f"{last['why']}"
    )


def _champion(client: Any, model: str) -> str | None:
    number = client.get_registered_model(model).aliases.get("champion")
    return None if number is None else str(number)


def _exists(client: Any, model: str, number: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(model, number)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def _make_champion(client: Any, model: str, number: str) -> None:
    client.set_registered_model_alias(model, "champion", number)
    challenger = client.get_registered_model(model).aliases.get("challenger")
    if challenger is not None and str(challenger) == number:
        client.delete_registered_model_alias(model, "challenger")


def _previous_champion(client: Any, model: str, number: str) -> str | None:
    """Returns the champion that version `number` replaced when it last became champion, by the gate or by hand."""
    tags = client.get_model_version(model, number).tags
    moves = _moves(tags)
    if moves and moves[-1]["move"] == "taken back":  # the command was killed before it moved the alias
        return str(moves[-1]["after"])
    decided = json.loads(tags.get("decision", "{}"))
    replaced = [decided["champion"]] if decided.get("decision") == "champion" else []
    for move in moves:
        if move["move"] == "promoted":
            replaced.append(move["before"])
        elif move["move"] == "taken back":
            del replaced[-1:]
    return replaced[-1] if replaced and replaced[-1] != number else None


def _moves(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        moves = json.loads(tags.get(_TAG, "[]"))
    except ValueError:  # somebody edited the tag
        return []
    return [move for move in moves if isinstance(move, dict) and "when" in move] if isinstance(moves, list) else []


def _record(client: Any, model: str, number: str, decision: ManualDecision, **move: Any) -> None:
    """Adds a move to a version's record, unless it already is the last entry, as after a kill and a repetition."""
    moves = _moves(client.get_model_version(model, number).tags)
    entry = move | decision._asdict()
    if not moves or {name: moves[-1].get(name) for name in entry} != entry:
        moves.append(entry | {"when": datetime.now(UTC).isoformat()})
        client.set_model_version_tag(model, number, _TAG, json.dumps(moves[-_MOST_MOVES:], ensure_ascii=False))
