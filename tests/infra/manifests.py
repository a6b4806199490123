"""The manifests' folder, and kubectl."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
Objects = list[dict[str, Any]]


def kubectl(*arguments: str | Path) -> str:
    """Returns kubectl's output; it contacts no cluster."""
    command = [str(Path(sys.executable).with_name("kubectl")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
