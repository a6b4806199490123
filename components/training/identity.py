"""A training's identity is everything that determines its weights; its digest is the key of the checkpoints.

A training resumes from the checkpoints below `<checkpoints>/<key>/`. The identity is stored with them, so that a
training that cannot resume can report what changed.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from components.storage import bucket, objects
from components.storage.bucket import Address
from gan_core.digests import json_digest
from gan_core.errors import InvalidInput, TryAgain
from gan_core.record import Record
from gan_core.staging import write_durably
from gan_core.training.checkpoints import images_seen_in
from gan_core.training.describe import versions

if TYPE_CHECKING:
    from gan_core.config import TrainConfig

FILE_NAME = "identity.json"
# Parameters that do not change a training's course: they set how long it runs, when it saves, and on which devices. A
# warm start is in the identity as the digest of its state.
_NOT_IN_THE_KEY = {
    "steps",
    "steps_per_execution",
    "checkpoint_every_seconds",
    "checkpoints_kept",
    "distribution",
    "warm_start",
}
_DEFINITIONS_NAMED = 3
_logger = logging.getLogger(__name__)


class Identity(Record):
    """Everything that determines the weights of a training, and nothing else.

    Attributes:
        parameters: the train section, with `xla` and `mixed_precision` resolved to true or false.
        dataset: the prepared data's digest.
        initial: the digest of the state that the training starts from.
        versions: versions of Python and the libraries.
        code: digests of the library's definitions that a training reaches.
    """

    format: Literal[1]
    parameters: dict[str, Any]
    dataset: str
    initial: str
    versions: dict[str, str]
    code: dict[str, str]

    @property
    def key(self) -> str:
        """The key of the checkpoints, which is the same for all trainings with the same course."""
        return json_digest(self.model_dump())[:16]

    def changes_since(self, earlier: Identity) -> list[str]:
        """Returns the differences from an earlier training as phrases."""
        differences = [
            f"{kind} {name} {before.get(name, 'absent')} → {now.get(name, 'absent')}"
            for kind, before, now in (
                ("parameter", _named(earlier.parameters), _named(self.parameters)),
                ("data", {"": earlier.dataset}, {"": self.dataset}),
                ("state to start from", {"": earlier.initial}, {"": self.initial}),
                ("library", earlier.versions, self.versions),
            )
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        both = earlier.code.keys() | self.code.keys()
        if changed := sorted(name for name in both if earlier.code.get(name) != self.code.get(name)):
            more = f" and {len(changed) - _DEFINITIONS_NAMED} more" if len(changed) > _DEFINITIONS_NAMED else ""
            differences.append(f"code {', '.join(changed[:_DEFINITIONS_NAMED])}{more}")
        return [phrase.replace("  ", " ") for phrase in differences]

    def write(self, checkpoints: Path | Address) -> None:
        """Writes the identity into the folder of the training's checkpoints."""
        folder, content = checkpoints / self.key, self.model_dump_json(indent=1).encode()
        if isinstance(folder, Path):
            write_durably(folder / FILE_NAME, content)
        else:
            with bucket.opened(folder) as opened:
                objects.send(opened, (folder / FILE_NAME).name, io.BytesIO(content))

    def start_message(self, checkpoints: Path | Address, images_seen: int, target: int, items: str) -> str:
        """Returns the message to log when the training starts.

        Args:
            checkpoints: the folder with the checkpoints of all trainings.
            images_seen: images seen at the checkpoint that the training resumes from; 0 if there is none.
            target: images seen at the end of the training.
            items: what the codec calls examples.
        """
        folder = checkpoints / self.key
        if images_seen:
            return f"The training resumes after {images_seen} of {target} {items} ({folder})."
        start = f"The training starts from the beginning: 0 of {target} {items} ({folder})."
        return start + self._why_not_resumed(checkpoints, items)

    def _why_not_resumed(self, checkpoints: Path | Address, items: str) -> str:
        """Returns the reason why no checkpoint below `checkpoints` can be resumed; empty if there is none."""
        try:
            earlier = _trainings(checkpoints)
        except (InvalidInput, TryAgain) as error:
            return f" Earlier checkpoints could not be listed: {error}"
        if own := earlier.pop(self.key, None):
            return f" Its own checkpoints, up to {own.images_seen} {items}, are beyond that number or damaged."
        if not earlier:
            return ""
        changes = {key: self.changes_since(training.identity) for key, training in earlier.items() if training.identity}
        # The most similar training, and the latest if there are several.
        key = min(changes or earlier, key=lambda key: (len(changes.get(key, ())), -earlier[key].written))
        changed = (
            "; ".join(changes[key]) if changes else "the code, since an earlier version of this project wrote them"
        )
        seen = earlier[key].images_seen
        message = (
            f" The checkpoints in {checkpoints / key} ({seen} {items}) cannot be resumed; "
            f"changed since then: {changed}."
        )
        similar = earlier[key].identity
        if similar is None or similar.model_copy(update={"code": self.code, "versions": self.versions}) == self:
            copy = "cp -r {}/. {}/" if isinstance(checkpoints, Path) else "gcloud storage cp --recursive '{}/*' {}/"
            message += (
                " To continue from them with the changed code, if their parameters and data are the same, stop this "
                f"training and copy them: {copy.format(checkpoints / key, checkpoints / self.key)}"
            )
        return message


def identify(
    config: TrainConfig, dataset: str, initial: str, code: dict[str, str], *, xla: bool, mixed_precision: bool
) -> Identity:
    """Returns the identity of a training with the installed libraries; the arguments match its attributes."""
    resolved = {"xla": xla, "mixed_precision": mixed_precision}
    return Identity(
        format=1,
        parameters=config.model_dump(mode="json", exclude=_NOT_IN_THE_KEY) | resolved,
        dataset=dataset,
        initial=initial,
        versions=versions(),
        code=code,
    )


@dataclass
class _Training:
    """The files below one key; `written` is the time of its newest checkpoint, in seconds since 1970."""

    images_seen: int = 0
    written: float = 0.0
    identity: Identity | None = None


def _trainings(checkpoints: Path | Address) -> dict[str, _Training]:
    """Returns the trainings that have a checkpoint, by key."""
    trainings: dict[str, _Training] = {}
    for key, name, written, read in _files(checkpoints):
        training = trainings.setdefault(key, _Training())
        if (images_seen := images_seen_in(name)) is not None:
            training.images_seen = max(training.images_seen, images_seen)
            training.written = max(training.written, written)
        elif name == FILE_NAME:
            try:
                training.identity = Identity.model_validate_json(read())
            except (OSError, ValidationError):
                _logger.warning("The record %s cannot be read and is ignored.", checkpoints / key / name)
    return {key: training for key, training in trainings.items() if training.images_seen}


def _files(checkpoints: Path | Address) -> Iterator[tuple[str, str, float, Callable[[], bytes]]]:
    """Yields key, name, time of writing and a function that reads the content, for every file directly below a key."""
    if isinstance(checkpoints, Path):
        for path in checkpoints.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):  # another training removes its old checkpoints
                yield path.parent.name, path.name, path.stat().st_mtime, path.read_bytes
        return
    prefix = checkpoints.name and f"{checkpoints.name}/"
    with bucket.opened(checkpoints) as opened:
        for blob in opened.list_blobs(prefix=prefix, retry=objects.retry()):
            key, _, name = blob.name.removeprefix(prefix).partition("/")
            yield key, name, blob.updated.timestamp(), partial(objects.read, blob)


def _named(parameters: dict[str, Any]) -> dict[str, Any]:
    return {f"train.{name}": value for name, value in parameters.items()}
