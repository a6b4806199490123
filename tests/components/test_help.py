"""Every command answers `--help` quickly: it imports no large package before it has read the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(
    "components.tracking" if path.name == "__main__.py" else f"components.{path.stem}"
    for path in ROOT.glob("components/**/*.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)
LARGE = {"google", "keras", "matplotlib", "mlflow", "numpy", "PIL", "pydantic", "ruamel", "scipy", "tensorflow", "yaml"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_no_large_package(command: str) -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['', '--help']\n"
        f"try: runpy.run_module({command!r}, run_name='__main__')\n"
        "except SystemExit as end: print(end.code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    process = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "usage: " in process.stdout
    code_and_modules = process.stdout.splitlines()[-1].split()
    assert code_and_modules[0] == "0"
    assert sorted(LARGE & set(code_and_modules)) == []
