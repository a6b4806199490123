"""Writes the built-in names, gan_core/data/embedded/names-*.xz, from the package names 0.3.0 (MIT).

    pip download --no-deps --no-binary :all: names==0.3.0 && tar xf names-0.3.0.tar.gz
    python infra/embedded_names.py names-0.3.0/names

Each of its files has a name and three numbers in a line, in the order of frequency. The names are sorted, because that
order takes a third less space.
"""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

from gan_core.data.texts import NAMES_FOLDER

FILES = {"female": "dist.female.first", "male": "dist.male.first", "surname": "dist.all.last"}


def main(source: Path, target: Path = NAMES_FOLDER) -> None:
    """Reads the files of `source` and writes those of `target`."""
    for name, file in FILES.items():
        lines = (source / file).read_text(encoding="ascii").splitlines()
        content = "".join(f"{text}\n" for text in sorted(line.split()[0] for line in lines))
        (target / f"names-{name}.xz").write_bytes(lzma.compress(content.encode(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
