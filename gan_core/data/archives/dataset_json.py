"""The labels in `dataset.json`, which the tools of StyleGAN write into a zip of images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from gan_core.data.archives.label_files import DATASET_JSON, label_text
from gan_core.data.archives.members import Member
from gan_core.errors import InvalidInput, UnreadableItem

_LARGEST_BYTES = 2**26


def listed_labels(members: Iterable[Member], place: str) -> Mapping[str, str] | None:
    """Returns the class of each file that `dataset.json` lists, by path; None if the archive holds no such file.

    Without labels, as StyleGAN writes it for a data set without classes, the result is empty.

    Raises:
        InvalidInput: the file is not of StyleGAN's form, or gives a file two labels.
    """
    for member in members:
        if member.parts == (DATASET_JSON,):
            try:
                return _labels(member.read(_LARGEST_BYTES))
            except (UnreadableItem, ValueError, TypeError, KeyError, RecursionError) as error:
                said = str(error) if isinstance(error, UnreadableItem) else "it has another form"
                raise InvalidInput(
                    f"{DATASET_JSON} in a zip must be a JSON object whose 'labels' are null or a list of [file, "
                    f"number]: {said}. Received: {place}"
                ) from None
    return None


def _labels(content: bytes) -> dict[str, str]:
    labels: dict[str, str] = {}
    for name, number in json.loads(content)["labels"] or ():
        if not isinstance(name, str) or not isinstance(number, int):
            raise TypeError
        if labels.setdefault(name, label := label_text(number)) != label:
            raise UnreadableItem("a file has two labels")
    return labels
