"""Fits the repository's Markdown to the site: MkDocs calls these functions by their names (mkdocs.yml).

In the repository, pages link to pages and to other files by relative paths. The site also has the pages that
`extra.pages` in mkdocs.yml lists, and a page of the public names. A notebook becomes a page with its cells and their
outputs. The site has no other file of the repository, so it shows the path of such a file instead of a link.
"""

from __future__ import annotations

import json
import logging
import posixpath
import re
from base64 import b64decode
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
LOADED = re.compile(r"<(?:script|link|img|iframe|audio|video|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
API = "# Public names\n\n::: gan_core\n"
LOG = logging.getLogger("mkdocs.site_pages")


def on_config(config: MkDocsConfig, **_: object) -> None:
    """Gives headings the same anchors as a Git host does: in small letters, with accents."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")


def on_files(files: Files, *, config: MkDocsConfig) -> None:
    """Adds the pages from outside docs/, and those of notebooks."""
    contents: dict[str, str | bytes] = {"api.md": API}
    for source, name in config.extra["pages"].items():
        content = (ROOT / source).read_text(encoding="utf-8")
        contents |= notebook_files(content, name) if source.endswith(".ipynb") else {name: content}
    for name, content in contents.items():
        files.append(File.generated(config, name, content=content))


def notebook_files(notebook: str, name: str) -> dict[str, str | bytes]:
    """Returns the files of a notebook's page, by path on the site: the page `name`, and its pictures."""
    parts: list[str] = []
    pictures: dict[str, str | bytes] = {}
    for cell in json.loads(notebook)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```{'bash' if source.startswith('%%bash') else 'python'}\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                place = f"images/{name.removesuffix('.md')}-{len(pictures)}.png"
                pictures[place] = b64decode(data["image/png"])
                width = output["metadata"].get("image/png", {}).get("width", "")
                parts.append(f'<img alt="Output of the cell" src="{place}" width="{width}">')
            else:
                parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    return {name: "\n\n".join(parts), **pictures}


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns the page with links that hold on the site. MkDocs reports the links that lead nowhere."""
    pages = config.extra["pages"]
    here = {name: source for source, name in pages.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def adapted(link: re.Match[str]) -> str:
        label, target, anchor = link.groups(default="")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        name = pages.get(path, path.removeprefix("docs/"))
        if files.get_file_from_path(name):
            return f"[{label}]({posixpath.relpath(name, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"
        if not (ROOT / path).exists():
            return link[0]
        return f"`{path}`" if path.endswith(label.strip("/")) else f"{label} (`{path}`)"

    return LINK.sub(adapted, markdown)


def on_post_page(output: str, *, page: Page, **_: object) -> None:
    """Reports everything that a browser would load from another host."""
    for element in LOADED.findall(output):
        LOG.warning("%s would load from another host: %s", page.file.src_uri, element)
