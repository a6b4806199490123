"""The navigation of the documentation's site. `make site` checks the links."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def test_every_page_is_in_the_navigation_once() -> None:
    named = [page for group in SITE["nav"] for pages in group.values() for page in pages]
    written = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(named) == sorted([*written, *SITE["extra"]["pages"].values(), "api.md"])


def test_the_pages_from_outside_docs_exist() -> None:
    assert [source for source in SITE["extra"]["pages"] if not (ROOT / source).is_file()] == []
