"""Fills the templates of pages that load nothing else and run no script."""

from __future__ import annotations

from pathlib import Path

from gan_core.printing import printable_lines


def render(template: str, **values: object) -> str:
    """Returns a page: the file `template` of this folder, filled with the values and with the style of all pages."""
    import jinja2

    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (folder / "style.css").read_text(encoding="utf-8").rstrip()
    return printable_lines(environment.get_template(template).render(style=style, **values))
