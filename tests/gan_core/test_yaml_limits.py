"""Limits on YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from yaml_bombs import LAUGHS, MERGES

from gan_core.errors import InvalidInput
from gan_core.yaml_limits import MOST_ALIASES, MOST_CHARACTERS, read_modest, require_modest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("bomb", [LAUGHS, MERGES])
def test_a_billion_laughs_are_refused(bomb: str) -> None:
    with pytest.raises(InvalidInput, match=r"8 aliases.*Received: params\.yaml with \d+ and 81"):
        require_modest(bomb, "params.yaml")


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput, match=f"{MOST_CHARACTERS} characters"):
        require_modest("x" * (MOST_CHARACTERS + 1), "x.yaml")
    assert require_modest("x" * MOST_CHARACTERS, "x.yaml")


@pytest.mark.parametrize("form", ["[{}]", "{{a: {}}}", "- {}", "a: {}", "a:\n  <<: {}", "? {}\n: 1", "a: [b,{}]"])
@pytest.mark.parametrize("name", ["*x", "*1", "*é", "*-", "*a:b"])
def test_every_alias_that_the_parser_sees_is_counted(form: str, name: str) -> None:
    text = form.format(name)
    seen = [token for token in tokens(text) if isinstance(token, yaml.AliasToken)]
    assert len(seen) <= 1
    bomb = "\n---\n".join([text] * (MOST_ALIASES + 1))
    if seen:
        with pytest.raises(InvalidInput):
            require_modest(bomb, "x")


def tokens(text: str) -> list[yaml.Token]:
    try:
        return list(yaml.scan(text))
    except yaml.YAMLError:
        return []


@pytest.mark.parametrize(
    "path",
    [
        ROOT / "params.yaml",
        *sorted((ROOT / "infra").glob("profiles/*.yaml")),
        ROOT / "infra/schedules.yaml",
        *sorted((ROOT / "tests/golden").glob("*.yaml")),
    ],
    ids=lambda path: path.name,
)
def test_the_projects_own_files_are_modest(path: Path) -> None:
    require_modest(path.read_text(), path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", "ü".encode("latin-1")])
def test_a_file_that_is_no_utf_8_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="utf-8"):
        read_modest(tmp_path / "file")


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_modest(tmp_path / "file") == "a: 1"


@pytest.mark.parametrize("place", ["/dev/zero", "/proc", "nowhere"])
def test_what_is_no_file_is_not_read(place: str) -> None:
    with pytest.raises(OSError, match=r"not a file|No such file"):
        read_modest(Path(place))


def test_of_a_long_file_no_more_is_read_than_may_be_in_it(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InvalidInput, match="at most"):
        read_modest(tmp_path / "file")
