from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gan_core.data.speech import CLIPS_FILE, FOLDER, SAMPLES_FILE, from_mu_law, speech
from gan_core.errors import InvalidInput
from infra import embedded_speech


def test_the_embedded_speech() -> None:
    clips, tones, syllables = speech()
    assert np.bincount(tones).tolist() == [303, 236, 288, 320]
    assert len(clips) == len(set(syllables)) == 1147
    assert syllables[:4] == ["ㄅㄚ", "ㄅㄚ2", "ㄅㄚ3", "ㄅㄚ4"]
    assert tones[:4].tolist() == [0, 1, 2, 3]
    assert 2300 < np.median([len(clip) for clip in clips]) < 2400
    assert "CC-BY-3.0" in (FOLDER / "LICENSE-speech").read_text(encoding="utf-8")


def test_mu_law_is_libsndfiles() -> None:
    codes = np.arange(256, dtype=np.uint8)
    content = io.BytesIO(codes.tobytes())
    expected, _ = soundfile.read(
        content, samplerate=8000, channels=1, format="RAW", subtype="ULAW", dtype="int16", endian="FILE"
    )
    assert np.array_equal(from_mu_law(codes), expected)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "speech"
    shutil.copytree(FOLDER, folder)
    (folder / CLIPS_FILE).write_text((FOLDER / CLIPS_FILE).read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="must have SHA-256"):
        speech(folder)
    (folder / SAMPLES_FILE).write_bytes(b"x")
    with pytest.raises(InvalidInput, match="must be readable"):
        speech(folder)


def test_the_script_writes_syllables_of_four_tones_as_mu_law(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(13230) / 44100)
    for name in ("ㄅㄚ", "ㄅㄚ1", "ㄅㄚ2"):
        (tmp_path / "ogg" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "ogg" / name / "5.ogg", tone, 44100)
    embedded_speech.main(tmp_path / "ogg", tmp_path / "out")
    embedded_speech.main(tmp_path / "ogg", tmp_path / "again")
    assert (tmp_path / "out" / SAMPLES_FILE).read_bytes() == (tmp_path / "again" / SAMPLES_FILE).read_bytes()
    assert (tmp_path / "out" / CLIPS_FILE).read_text(encoding="utf-8") == "ㄅㄚ\t2400\nㄅㄚ2\t2400\n"
    import lzma

    written = from_mu_law(np.frombuffer(lzma.decompress((tmp_path / "out" / SAMPLES_FILE).read_bytes()), np.uint8))
    expected = 0.4 * 2**15 * np.sin(2 * np.pi * 440 * np.arange(2400) / 8000)
    assert np.abs(written[:2400] - expected)[100:-100].max() < 800
