"""A YAML bomb from outside gives an error message and does not exhaust the memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from yaml_bombs import BOMBS

from components.cli.parameters import read_section
from components.storage.dvc_pointer import read_pointer
from gan_core.config import RegisterConfig
from gan_core.errors import InvalidInput
from pipelines import package, parameters
from pipelines.profile import Profile
from pipelines.schedule import Schedules

FROM_OUTSIDE: dict[str, Callable[[Path], object]] = {
    "a compiled pipeline": package.read,
    "a pointer": lambda path: read_pointer(path.read_text(errors="replace")[:4000]),
}
READERS: dict[str, Callable[[Path], object]] = {
    "a stage's params.yaml": lambda path: read_section(str(path), RegisterConfig),
    "a pipeline's params.yaml": parameters.read,
    "a profile": Profile.read,
    "schedules": Schedules.read,
    **FROM_OUTSIDE,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("reader", FROM_OUTSIDE.values(), ids=FROM_OUTSIDE.keys())
def test_a_bomb_is_refused(reader: Callable[[Path], object], bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(bomb)
    with pytest.raises(InvalidInput) as caught:
        reader(path)
    assert len(str(caught.value)) < 1000


def test_a_compiled_pipeline_is_read_only_up_to_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InvalidInput, match="at most"):
        package.read(tmp_path / "file")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("content", [b"a: 2026-02-30", b"a: \xff\xfe\x00", b"a: [", "ü".encode("latin-1")])
def test_unreadable_files_are_refused(reader: Callable[[Path], object], content: bytes, tmp_path: Path) -> None:
    """The first content is an impossible date."""
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        reader(path)
