"""Limits on YAML from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from yaml_bombs import LAUGHS, MERGES

from gan_core.errors import InvalidInput
from gan_core.yaml_limits import MOST_ALIASES, MOST_CHARACTERS, require_bounded

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("bomb", [LAUGHS, MERGES])
def test_a_billion_laughs_are_refused(bomb: str) -> None:
    with pytest.raises(InvalidInput, match=r"8 aliases.*Received: params\.yaml with \d+ and 81"):
        require_bounded(bomb, "params.yaml")


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput, match=f"{MOST_CHARACTERS} characters"):
        require_bounded("x" * (MOST_CHARACTERS + 1), "x.yaml")
    assert require_bounded("x" * MOST_CHARACTERS, "x.yaml")


@pytest.mark.parametrize("form", ["[{}]", "{{a: {}}}", "- {}", "a: {}", "a:\n  <<: {}", "? {}\n: 1", "a: [b,{}]"])
@pytest.mark.parametrize("name", ["*x", "*1", "*é", "*-", "*a:b"])
def test_every_alias_that_the_parser_sees_is_counted(form: str, name: str) -> None:
    text = form.format(name)
    seen = [token for token in tokens(text) if isinstance(token, yaml.AliasToken)]
    assert len(seen) <= 1
    bomb = "\n---\n".join([text] * (MOST_ALIASES + 1))
    if seen:
        with pytest.raises(InvalidInput):
            require_bounded(bomb, "x")


def tokens(text: str) -> list[yaml.Token]:
    try:
        return list(yaml.scan(text))
    except yaml.YAMLError:
        return []


@pytest.mark.parametrize("path", sorted((ROOT / "tests/golden").glob("*.yaml")), ids=lambda path: path.name)
def test_compiled_pipelines_are_within_the_limits(path: Path) -> None:
    require_bounded(path.read_text(), path)
