"""Tests that text from outside cannot control the terminal in any kind of output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan_core import printing
from gan_core.printing import fail, guard_output, printable

HOSTILE = "a\x1b[2J\x9b31m\x07\x08\u202egnp\u2066\u2028.png"
ESCAPED = r"a\x1b[2J\x9b31m\x07\x08\u202egnp\u2066\u2028.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, ESCAPED),
        ("two\nlines\r\tend\x7f\x00", r"two\nlines\r\tend\x7f\x00"),
        (os.fsdecode(b"B\xe4r"), r"B\xe4r"),
        ("\ud83d alone", r"\ud83d alone"),
        ("Bär 犬 क्‍ष 👩‍🔬 \u00a0 \\x1b", "Bär 犬 क्‍ष 👩‍🔬 \u00a0 \\x1b"),  # joiners are part of the script
    ],
)
def test_printable_text_is_one_line_without_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_all_output_of_a_process_is_escaped_and_masked() -> None:
    program = f"""
import logging, sys, warnings
from gan_core.printing import guard_output
guard_output()
guard_output()
text = {HOSTILE!r} + "//u:hunter2@host" + "\\udce9\\r"
print("out", text)
sys.stderr.writelines(["lines ", text, "\\n"])
logging.basicConfig(level=logging.INFO)
logging.info(text)
warnings.warn(text)
raise RuntimeError(text)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )

    shown = ESCAPED + r"//host\xe9\r"
    assert done.stdout == f"out {shown}\n"
    for line in (
        f"lines {shown}",
        f"INFO:root:{shown}",
        f"<string>:11: UserWarning: {shown}",
        f"RuntimeError: {shown}",
    ):
        assert line in done.stderr.splitlines()
    assert done.returncode == 1


def test_a_progress_bar_may_return_to_the_start_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    guard_output()
    sys.stderr.write("\r 5% of a\rb")
    assert capsys.readouterr().err == "\r 5% of a\\rb"


def test_a_line_break_in_a_message_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fail(2, "There is no such file. Received: a\nINFO: all is well")
    assert (caught.value.code, capsys.readouterr().err) == (
        2,
        "error: There is no such file. Received: a\n  INFO: all is well\n",
    )


@pytest.mark.parametrize("present", [True, False])
def test_a_failure_is_the_containers_termination_message(
    present: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "termination-log"
    monkeypatch.setattr(printing, "TERMINATION_LOG", file)
    if present:
        file.write_text("")
    with pytest.raises(SystemExit) as ended:
        fail(75, f"No answer from https://u:hunter2@host.\n{HOSTILE}" + "é" * 2000)
    assert ended.value.code == 75
    assert file.exists() == present
    if present:
        content = file.read_bytes()
        assert content.startswith(rf"exit code 75: No answer from https://host.\n{ESCAPED}".encode())
        assert len(content) == 2000


def test_a_bug_is_the_containers_termination_message(tmp_path: Path) -> None:
    file = tmp_path / "termination-log"
    file.touch()
    program = f"""
from pathlib import Path
from gan_core import printing
printing.TERMINATION_LOG = Path({str(file)!r})
printing.guard_output()
raise RuntimeError("two\\nlines")
"""
    subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, cwd=Path(__file__).parents[2])
    assert file.read_text() == r"exit code 1: RuntimeError: two\nlines"
