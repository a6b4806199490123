from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.cli.tensorflow_settings import _UNUSED, _held_back_stderr


def test_native_output_is_shown_only_when_the_body_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with _held_back_stderr():
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == ""

    with pytest.raises(ImportError), _held_back_stderr():
        os.write(2, b"the reason\n")
        raise ImportError
    assert capfd.readouterr().err == "the reason\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_keras_starts_without_packages_that_are_slow_to_import_and_that_can_be_imported_later() -> None:
    code = f"""
import sys
from components.cli.tensorflow_settings import configure_tensorflow
configure_tensorflow()
import keras
keras.layers.Dense(1)
print(sorted({set(_UNUSED)} & sys.modules.keys()))
import matplotlib.pyplot, sklearn.datasets
"""
    root = Path(__file__).resolve().parents[3]
    process = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (process.stdout, process.returncode) == ("[]\n", 0), process.stderr
