"""Label files beside the items of an archive, as in WebDataset: `0001.cls` with a number, or `0001.json`."""

from __future__ import annotations

import json
import os

from gan_core.data.archives.members import Member
from gan_core.data.sources import class_name
from gan_core.errors import InvalidInput, UnreadableItem

DATASET_JSON = "dataset.json"
AUTO, NONE = "auto", "none"
"""Values of `prepare.label` that name no label: find the one label, or use none."""
LONGEST_LABEL = 255
"""In characters, as the name of a folder in most file systems."""
_LARGEST_BYTES = {".cls": 2**10, ".json": 2**20}


def require_no_label(label: str) -> None:
    """Refuses `prepare.label` for a source whose labels have no names."""
    if label != AUTO:
        raise InvalidInput(
            f"The parameter 'prepare.label' must be {AUTO}, unless the source is of archives or parquet files or a "
            f"CSV. Received: label={label!r}"
        )


def key_of(member: Member) -> str:
    """Returns what the files of one sample share: the path up to the first dot of the name."""
    folder, _, name = member.name.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def may_be_label(member: Member) -> bool:
    """Whether a member is a label file by its name. StyleGAN's list of labels is none."""
    return label_suffix(member) in _LARGEST_BYTES and member.parts != (DATASET_JSON,)


def label_in(member: Member, label: str) -> str | None:
    """Returns the class that a label file names; None if the file holds no such label.

    Args:
        member: the file.
        label: the field of a .json that is the label. If it is `auto`, a .cls is the label, or the field `label`.

    Raises:
        UnreadableItem: it is damaged, or its label is neither a whole number nor a text.
    """
    if label_suffix(member) == ".cls":
        if label != AUTO:
            return None
        try:
            return label_text(int(_content(member)))
        except ValueError:
            raise UnreadableItem("its label file (.cls) does not contain a whole number") from None
    record = _record(member)
    field = "label" if label == AUTO else label
    return label_text(record[field]) if field in record else None


def whole_numbers_in(member: Member) -> list[str]:
    """Returns the fields of a .json that hold a whole number, so that each may be a label."""
    return (
        []
        if label_suffix(member) == ".cls"
        else [name for name, value in _record(member).items() if type(value) is int]
    )


def _record(member: Member) -> dict[str, object]:
    try:
        record = json.loads(_content(member))
    except (ValueError, RecursionError):
        raise UnreadableItem("its label file (.json) does not contain JSON") from None
    return record if isinstance(record, dict) else {}


def _content(member: Member) -> bytes:
    try:
        return member.read(_LARGEST_BYTES[label_suffix(member)])
    except UnreadableItem as error:
        raise UnreadableItem(f"its label file cannot be used: {error}") from None


def label_text(label: object) -> str:
    """Returns the class name of a label.

    Raises:
        UnreadableItem: it is neither a whole number nor a text of moderate length.
    """
    if isinstance(label, bool) or not isinstance(label, int | str) or not 0 < len(str(label)) <= LONGEST_LABEL:
        raise UnreadableItem(f"its label must be a whole number or a text of 1 to {LONGEST_LABEL} characters")
    return class_name(str(label))


def label_suffix(member: Member) -> str:
    """Returns the suffix of a member's name, in lower case."""
    return os.path.splitext(member.name)[1].lower()
