"""Every file in YAML that the project reads: a bomb is a mistake with a sentence, not a machine without memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from yaml_bombs import BOMBS

from components.cli.parameters import read_section
from components.storage.dvc_pointer import Pointer
from gan_core.config import RegisterConfig
from gan_core.errors import InvalidInput
from pipelines import package, parameters
from pipelines.profile import Profile
from pipelines.schedule import Schedules

READERS: dict[str, Callable[[Path], object]] = {
    "a stage's params.yaml": lambda path: read_section(str(path), "a", RegisterConfig),
    "a pipeline's params.yaml": parameters.read,
    "a profile": Profile.read,
    "schedules": Schedules.read,
    "a compiled pipeline": package.read,
    "a pointer": lambda path: Pointer.read(path.read_text()[:4000]),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
def test_a_bomb_is_refused(reader: Callable[[Path], object], bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(bomb)
    with pytest.raises(InvalidInput) as caught:
        reader(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
def test_a_date_that_no_calendar_has_is_refused(reader: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "date.yaml"
    path.write_text("a: 2026-02-30")
    with pytest.raises(InvalidInput):
        reader(path)
