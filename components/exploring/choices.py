"""The generators that a person can choose from: the registry's versions, and folders of this machine."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.registry.champion import download_generator
from components.tracking.failures import answered
from gan_core.errors import InvalidInput
from gan_core.export import load_generator
from gan_core.generator import Generator

_KEPT_IN_MEMORY = 4


@dataclass(frozen=True)
class Choice:
    """A generator.

    Attributes:
        title: what the page calls it.
        model: name of its registered model; empty for a folder.
        version: its number in the registry; empty for a folder.
        alias: `champion`, `challenger` or another alias; empty if it has none.
        folder: its folder; None for a registered version.
    """

    title: str
    model: str = ""
    version: str = ""
    alias: str = ""
    folder: Path | None = None

    @property
    def name(self) -> str:
        """A name that does not change with the aliases."""
        return f"{self.model} version {self.version}" if self.model else str(self.folder)


class Choices:
    """Lists the generators anew for each page that is opened, and loads the chosen ones.

    Args:
        client: MLflow's client.
        folders: folders of generators.
    """

    def __init__(self, client: Any, folders: Sequence[Path]) -> None:
        self._client = client
        self._folders = folders
        self._known: dict[str, Choice] = {}  # also those of pages that were opened before an alias moved
        self._load = functools.lru_cache(maxsize=_KEPT_IN_MEMORY)(self._loaded)

    def listed(self) -> list[Choice]:
        """Returns the folders, and then the versions by model, newest first; only those that this project registered.

        Raises:
            TryAgain: the registry does not answer.
        """
        with answered("list the registered versions"):
            found = self._client.search_model_versions()
            found = [one for one in found if one.status == "READY" and "generator_digest" in one.tags]
            versions = []
            for model in sorted({one.name for one in found}):
                aliases = self._client.get_registered_model(model).aliases
                names = {str(number): alias for alias, number in sorted(aliases.items(), reverse=True)}
                numbers = sorted((int(one.version) for one in found if one.name == model), reverse=True)
                versions += [_version(model, str(number), names.get(str(number), "")) for number in numbers]
        listed = [Choice(str(folder), folder=folder) for folder in self._folders] + versions
        self._known |= {choice.title: choice for choice in listed}
        return listed

    def named(self, title: str | None) -> Choice:
        """Returns the generator that the page calls `title`.

        Raises:
            InvalidInput: there is none.
        """
        if title not in self._known:
            raise InvalidInput(f"A version must be chosen from the list. Received: {title or 'none'}")
        return self._known[title]

    def load(self, choice: Choice) -> Generator:
        """Returns a generator, ready to draw; the last four stay in memory.

        Raises:
            InvalidInput: it needs input images, or its files are damaged.
            TryAgain: the registry does not answer.
        """
        generator = self._load(choice.model, choice.version, choice.folder)
        if generator.metadata.paired:
            raise InvalidInput(
                f"The page shows no paired generator, because each of its images needs an input image. Received: "
                f"{choice.title}"
            )
        return generator

    def _loaded(self, model: str, version: str, folder: Path | None) -> Generator:
        if folder is not None:
            return load_generator(folder)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, answered("load a version"):
            return load_generator(download_generator(self._client.get_model_version(model, version), Path(place)))


def first_two(listed: Sequence[Choice]) -> tuple[str | None, str | None]:
    """Returns the titles that an opened page shows: a champion and its challenger, or the first in the list."""
    champion = next((one for one in listed if one.alias == "champion"), listed[0] if listed else None)
    rivals = [one for one in listed if champion and one.model == champion.model and one.alias == "challenger"]
    return champion.title if champion else None, rivals[0].title if rivals else None


def require_comparable(one: Generator, other: Generator) -> None:
    """Checks that two generators draw items of the same kind, size and classes.

    Raises:
        InvalidInput: they do not.
    """
    kinds = [(each.metadata.shape, each.metadata.classes, modality(each)) for each in (one, other)]
    if kinds[0] != kinds[1]:
        raise InvalidInput(
            "Two versions can be compared only if they draw items of the same kind, size and classes. Received: "
            + " and ".join(
                f"{kind}s of {' × '.join(map(str, shape))} with {len(classes)} classes"
                for shape, classes, kind in kinds
            )
        )


def modality(generator: Generator) -> str:
    """Returns what the generator's items are called: image, clip or text."""
    from gan_core.codecs import codec_of

    return codec_of(generator.metadata).item


def _version(model: str, number: str, alias: str) -> Choice:
    return Choice(f"{model} · version {number}{f' · {alias}' if alias else ''}", model, number, alias)
