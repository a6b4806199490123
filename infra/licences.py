"""Writes docs/licences.md, the licence of every package in the images, from a bill of materials (`make sbom`)."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements-image-cpu.txt", "infra/mlflow/requirements.txt")
ELSEWHERE = {"pywin32", "colorama", "tensorflow", "waitress"}  # not on Linux; `tensorflow-cpu` has the same licence
# Packages whose metadata names no licence or an ambiguous one. These are from their licence files or source.
BY_HAND = {
    "antlr4-python3-runtime": "BSD-3-Clause",
    "dvc-http": "Apache-2.0",
    "gto": "Apache-2.0",
    "huey": "MIT",
    "keras": "Apache-2.0",
    "namex": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "pygit2": "GPL-2.0-only with linking exception",
    "skops": "MIT",
    "soundfile": "BSD-3-Clause AND LGPL-2.1-or-later",  # its wheel contains libsndfile
}
SAME = {"Apache Software License": "Apache-2.0", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0"}
HEAD = """\
# Licences of the packages in the images

`make sbom` writes this page from the packages' own metadata; a test compares the names with the requirements files. The
image lists the versions and further details in `/app/sbom.json` (CycloneDX). The GPU image adds NVIDIA's CUDA libraries
(`nvidia-*`). NVIDIA's terms allow redistribution as part of an application, but not alone.

Some packages have copyleft licences. `grandalf` and `pygit2` come with DVC, which `components.fetch` runs as a separate
process. `asyncssh` and `dulwich` also come with DVC and offer a choice of licences. `psycopg` is only in the MLflow
server's image. This project's code imports none of them. It imports `soxr` and `soundfile`, whose wheel contains
libsndfile, as the LGPL allows: unchanged, and replaceable by another version. Its own licence is MIT.

| licence | packages |
|---|---|
"""


def normalised(name: str) -> str:
    """Returns a package's name in the form that the index compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> set[str]:
    """Returns the locked packages that an image contains."""
    text = "\n".join((ROOT / lock).read_text(encoding="utf-8") for lock in LOCKS)
    return {normalised(name) for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==", text)} - ELSEWHERE


def licence(component: dict[str, list[dict[str, object]]]) -> str:
    """Returns the first licence that a component's metadata declares."""
    name = normalised(str(component["name"]))
    if name in BY_HAND:
        return BY_HAND[name]
    for entry in component.get("licenses", []):
        details = entry.get("license", {})
        found = entry.get("expression") or details.get("id") or details.get("name")
        declared = str(found).rpartition(":: ")[2]
        return SAME.get(declared, declared)
    sys.exit(f"error: A package must declare its licence, or have it in BY_HAND. Received: {name}")


def main() -> None:
    """Reads the bill of materials named by the argument and writes the page."""
    bill = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    components = {normalised(component["name"]): component for component in bill["components"]}
    if missing := locked() - components.keys():
        sys.exit(
            f"error: The bill must have every package of the locks. Received: none of {', '.join(sorted(missing))}"
        )
    packages = defaultdict(list)
    for name in sorted(locked()):
        packages[licence(components[name])].append(f"`{name}`")
    rows = (f"| {name} | {', '.join(members)} |\n" for name, members in sorted(packages.items()))
    (ROOT / "docs/licences.md").write_text(HEAD + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
