"""Third-party code: every package is locked by hash, every licence is known, and new ones are noticed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from manifests import ROOT

from infra import licences

LOCKS = [*sorted(ROOT.glob("requirements*.txt")), ROOT / "infra/mlflow/requirements.txt"]
DOCUMENT = ROOT / "docs/licences.md"
REVIEWED = {
    "Apache-2.0",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "EPL-2.0",
    "ISC",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
    "Python-2.0",
    "ZPL-2.1",
}
TRANSITIVE_OF_DVC = {"grandalf", "pygit2"}  # GPL-2.0: docs/licences.md says why they may be there


def entries(lock: Path) -> list[str]:
    return re.split(r"(?m)^(?=[A-Za-z0-9])", lock.read_text())[1:]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_is_pinned_by_version_and_hash(lock: Path) -> None:
    assert entries(lock)
    for entry in entries(lock):
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
        assert "://" not in re.sub(r"(?m)#.*$", "", entry), entry


@pytest.mark.parametrize("path", ["Makefile", "Dockerfile", "infra/mlflow/Dockerfile", "infra/gpu-tests/Dockerfile"])
def test_nothing_is_installed_without_its_hash(path: str) -> None:
    text = (ROOT / path).read_text().replace("\\\n", " ")
    installs = [line for part in text.splitlines() for line in part.split("&&") if "pip install" in line]
    assert installs
    assert [line for line in installs if "--require-hashes" not in line] == []


def listed() -> dict[str, str]:
    """Returns the licence of each package in the document."""
    rows = re.findall(r"(?m)^\| ([^|`]+) \| (`.*`) \|$", DOCUMENT.read_text())
    return {name: licence for licence, names in rows for name in re.findall(r"`([^`]+)`", names)}


def test_every_package_of_the_images_is_listed_with_its_licence() -> None:
    assert listed().keys() == licences.locked(), "run `make sbom`"


def test_every_licence_was_reviewed() -> None:
    for name, licence in listed().items():
        if name not in TRANSITIVE_OF_DVC:
            choices = [set(choice.strip("() ").split(" AND ")) for choice in licence.split(" OR ")]
            known = REVIEWED | {"0BSD", "Zlib", "CC0-1.0", "MPL-2.0", "(Apache-2.0"}
            assert any(choice <= known for choice in choices), (name, licence)


def packages(image: str) -> set[str]:
    lock = ROOT / f"requirements-image-{image}.txt"
    return {re.match(r"[A-Za-z0-9._-]+", entry)[0] for entry in entries(lock)}


def test_the_gpu_image_adds_only_what_the_document_names() -> None:
    assert {name for name in packages("gpu") - packages("cpu") if not name.startswith("nvidia-")} == set()


def test_the_beam_image_adds_only_what_its_page_lists() -> None:
    page = (ROOT / "docs/beam.md").read_text()
    rows = re.findall(r"(?m)^\| [^|`]+ \| ((?:`[a-z0-9-]+` ?)+) \|$", page)
    assert packages("beam") - packages("cpu") == {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


TOOL = ROOT / ".venv-sbom/bin/cyclonedx-py"


@pytest.mark.skipif(not TOOL.exists(), reason="the tool is not installed: make .venv-sbom/done")
def test_the_document_is_written_from_the_bill_of_materials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bill = tmp_path / "sbom.json"
    environment = Path(sys.prefix)
    command = [TOOL, "environment", "--output-reproducible", "--of", "JSON", "-o", bill, environment]
    subprocess.run(command, check=True, capture_output=True)
    committed = DOCUMENT.read_text()
    (tmp_path / "docs").mkdir()
    for lock in licences.LOCKS:
        (tmp_path / lock).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / lock).write_text((ROOT / lock).read_text())
    monkeypatch.setattr(licences, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["licences.py", str(bill)])
    licences.main()
    assert (tmp_path / "docs/licences.md").read_text() == committed
