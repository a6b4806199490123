"""Label files beside the items of an archive, as in WebDataset: `0001.cls` with a number, or `0001.json`."""

from __future__ import annotations

import json
import os

from gan_core.data.members import Member
from gan_core.data.sources import class_name
from gan_core.errors import UnreadableItem

LONGEST_LABEL = 255
"""In characters, as the name of a folder in most file systems."""
_LARGEST_BYTES = {".cls": 2**10, ".json": 2**20}


def key_of(member: Member) -> str:
    """Returns what the files of one sample share: the path up to the first dot of the name."""
    folder, _, name = member.name.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def may_be_label(member: Member) -> bool:
    """Whether a member is a label file by its name."""
    return _suffix(member) in _LARGEST_BYTES


def label_in(member: Member) -> str | None:
    """Returns the class that a label file names; None if it is a .json without labels.

    Raises:
        UnreadableItem: it is damaged, or its label is neither a whole number nor a text.
    """
    try:
        content = member.read(_LARGEST_BYTES[_suffix(member)])
    except UnreadableItem as error:
        raise UnreadableItem(f"its label file cannot be used: {error}") from None
    try:
        if _suffix(member) == ".cls":
            return label_text(int(content))
        record = json.loads(content)
    except (ValueError, RecursionError):
        kind = "a whole number" if _suffix(member) == ".cls" else "JSON"
        raise UnreadableItem(f"its label file ({_suffix(member)}) does not contain {kind}") from None
    if not isinstance(record, dict) or "label" not in record:
        return None
    return label_text(record["label"])


def label_text(label: object) -> str:
    """Returns the class name of a label.

    Raises:
        UnreadableItem: it is neither a whole number nor a text of moderate length.
    """
    if isinstance(label, bool) or not isinstance(label, int | str) or not 0 < len(str(label)) <= LONGEST_LABEL:
        raise UnreadableItem(f"its label must be a whole number or a text of 1 to {LONGEST_LABEL} characters")
    return class_name(str(label))


def _suffix(member: Member) -> str:
    return os.path.splitext(member.name)[1].lower()
