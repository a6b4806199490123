"""What DVC writes in git for a folder it keeps elsewhere. The text comes from outside: nothing in it is trusted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.names import require_inside
from gan_core.documents import require_modest
from gan_core.errors import InvalidInput

MAX_CHARACTERS = 4096  # a pointer to a folder has about 100


class Pointer(BaseModel):
    """A folder under DVC: an output of a .dvc file or of dvc.lock.

    Attributes:
        md5: of the folder's listing, which has the md5 of each file.
        path: where the folder stands in its repository.
        size, nfiles: bytes and files; DVC writes them for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.dir$")]
    hash: Literal["md5"]
    path: str
    size: int | None = None
    nfiles: int | None = None

    @classmethod
    def read(cls, pointer: str) -> Pointer:
        """Reads a .dvc file, or the text of one, or the text of one output in dvc.lock.

        Raises:
            InvalidInput: it is not a pointer that `dvc add` or `dvc repro` of DVC 3 writes for a folder.
        """
        import yaml

        text = _text(pointer)
        rule = "The pointer must be what DVC 3 writes for a folder"
        if len(text) > MAX_CHARACTERS:
            raise InvalidInput(f"{rule}, {MAX_CHARACTERS} characters at most. Received: {len(text)}")
        try:
            document = yaml.safe_load(require_modest(text, "the pointer"))
        except (yaml.YAMLError, ValueError, RecursionError):
            raise InvalidInput(f"{rule}, as YAML. Received: {text[:200]!r}") from None
        if isinstance(document, dict) and document.keys() == {"outs"}:
            document = document["outs"]
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        try:
            output = cls.model_validate(document, strict=True)
        except ValidationError as error:
            entry = error.errors()[0]
            key = ".".join(str(part) for part in entry["loc"])
            raise InvalidInput(f"{rule}: {key or 'the text'}: {entry['msg']}. Received: {text[:200]!r}") from None
        require_inside(output.path)
        return output


def _text(pointer: str) -> str:
    if "\n" in pointer or not pointer.endswith(".dvc"):
        return pointer
    try:
        with open(pointer, encoding="utf-8") as file:
            return file.read(MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--pointer must be a readable .dvc file: {error}. Received: {pointer[:200]}") from None
