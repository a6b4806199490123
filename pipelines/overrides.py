"""Parses overrides as people write them: `train.steps=20000`, `prepare.source=data/raw/été (1)`.

The value of a text parameter is taken literally, with any characters; in double quotes it is read as JSON. Other values
are read as YAML 1.2, as DVC reads params.yaml: 1e-4 is a number, and off is a word.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from gan_core.errors import InvalidInput

_FORM = re.compile(r"(?P<section>\w+)\.(?P<key>\w+(\.\w+)?)=(?P<text>.*)", re.DOTALL)
_PARTS = re.compile(
    r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|[^,])+|(?<=,)(?=,|$)|^(?=,)""", re.DOTALL
)


@dataclass(frozen=True)
class Override:
    """One override.

    Attributes:
        section, key: the parameter that it changes; the key of a nested section is `image.height`.
        text: the value as written.
    """

    section: str
    key: str
    text: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Reads an override.

        Raises:
            InvalidInput: `text` is not an override.
        """
        if not (found := _FORM.fullmatch(text)):
            raise InvalidInput(
                "An override must be section.key=value, without + or ~: parameters cannot be added or removed. "
                f"Received: {text}"
            )
        return cls(**found.groupdict())

    def value(self, is_text: bool) -> Any:
        """Returns the value; text is taken literally.

        Raises:
            InvalidInput: there is more than one value.
        """
        if is_text:
            return _unquoted(self.text)
        if len(_PARTS.findall(self.text)) > 1:
            raise InvalidInput(
                "An override must be section.key=value with one value; --grid takes several. "
                f"Received: {self.section}.{self.key}={self.text}"
            )
        return _yaml(self.text)

    def alternatives(self) -> Iterator[str]:
        """Yields an override for each of the comma-separated values. Commas in quotes or brackets do not separate."""
        for part in _PARTS.findall(self.text):
            yield f"{self.section}.{self.key}={part.strip()}"


def words(text: str, *, strict: bool = False) -> list[str]:
    """Splits overrides at spaces, as a shell does. Unless `strict`, an unclosed quotation mark is a plain character.

    Raises:
        InvalidInput: a quotation mark is not closed, and `strict` is set.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        if strict:
            raise InvalidInput(f"A trial must be overrides separated by spaces: {error}. Received: {text}") from None
        return text.split()


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, str) else text
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError):
        return text
