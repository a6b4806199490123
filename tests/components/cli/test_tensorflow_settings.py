from __future__ import annotations

import os

import pytest

from components.cli.tensorflow_settings import _held_back_stderr


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
