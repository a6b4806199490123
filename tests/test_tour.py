"""The notebook docs/tour.ipynb runs from its first cell to its last, and its stored pictures are those of a run."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from clones import ROOT, copy_project
from PIL import Image

from gan_core.provenance import SOURCE_TYPE

NOTEBOOK = "docs/tour.ipynb"
SMALL = {"SIDE": 16, "STEPS": 8, "LABEL": "dark", "FOLDER": "data/raw/mine"}
RUN = [sys.executable, "-m", "jupyter", "execute", "--inplace", "--timeout=900", NOTEBOOK]
MOST_BYTES = 500_000


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of the project, and the environment of its commands. A server that a failed cell left running is ended."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    environment |= {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter"),
    }
    folder = tmp_path / "project"
    copy_project(folder, environment, NOTEBOOK)
    yield folder, environment
    server = folder / "build" / "tour" / "serve.pid"
    if server.exists():
        subprocess.run(["kill", server.read_text().strip()], check=False, capture_output=True)


def with_values(folder: Path, **values: object) -> None:
    """Adds a cell with other values of the parameters after the notebook's own."""
    book = nbformat.read(folder / NOTEBOOK, as_version=4)
    [place] = [index for index, cell in enumerate(book.cells) if "parameters" in cell.metadata.get("tags", ())]
    known = book.cells[place].source
    assert [name for name in values if f"%env {name}=" not in known] == []
    cell = nbformat.v4.new_code_cell("\n".join(f"%env {name}={value}" for name, value in values.items()))
    book.cells.insert(place + 1, cell)
    nbformat.write(book, folder / NOTEBOOK)


def pictures(book: Any) -> list[Image.Image]:
    """Returns the pictures in the outputs of a notebook."""
    data = [output.get("data", {}) for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    return [Image.open(io.BytesIO(b64decode(one["image/png"]))) for one in data if "image/png" in one]


def require_generated(picture: Image.Image, size: tuple[int, int], label: str) -> None:
    mark = picture.info["XML:com.adobe.xmp"]
    assert picture.size == size
    assert SOURCE_TYPE in mark
    assert f'gan:label="{label}"' in mark


def add_images(folder: Path, count: int) -> None:
    for label, grey in (("dark", 40), ("light", 200)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (20, 30 + number % 3), (grey + number % 50,) * 3).save(folder / label / f"{number}.png")


@pytest.mark.repetition
@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_notebook_leads_from_a_folder_to_an_answer_of_the_server(clone: tuple[Path, dict[str, str]]) -> None:
    folder, environment = clone
    add_images(folder / SMALL["FOLDER"], 100)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with_values(folder, **SMALL, PORT=port)
    done = subprocess.run(RUN, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grid, answer = pictures(nbformat.read(folder / NOTEBOOK, as_version=4))
    assert grid.width > answer.width
    require_generated(answer, (16, 16), "dark")
    [pointer] = (folder / "data" / "raw").glob("*.dvc")
    assert "nfiles: 200" in pointer.read_text()
    assert json.loads((folder / "reports" / "registration.json").read_text())["decision"] == "champion"


def test_a_cell_that_fails_ends_the_notebook(clone: tuple[Path, dict[str, str]]) -> None:
    folder, environment = clone
    (folder / "data" / "raw" / "mine").write_text("a file")  # the second cell lists a folder
    with_values(folder, **SMALL)
    done = subprocess.run(RUN, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "NotADirectoryError" in done.stderr
    assert not (folder / "data" / "raw" / "mine.dvc").exists()


def test_the_stored_notebook_has_the_outputs_of_a_whole_run() -> None:
    text = (ROOT / NOTEBOOK).read_text(encoding="utf-8")
    book = nbformat.reads(text, as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert len(text.encode()) < MOST_BYTES
    assert [cell.execution_count for cell in cells] == list(range(1, 11))
    assert [output for cell in cells for output in cell.outputs if output.output_type == "error"] == []
    assert [place for place in ("/home/", "/root/", "/tmp/", "/Users/", "site-packages") if place in text] == []
    _, answer = pictures(book)
    require_generated(answer, (28, 28), "Bag")
