from __future__ import annotations

import io
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile

from gan_core.data.sound import read_sound, to_clip
from gan_core.errors import UnreadableItem

RATE = 16000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def file(samples: np.ndarray, kind: str, subtype: str | None = None, rate: int = RATE) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format=kind, subtype=subtype)
    return content.getvalue()


def clip(samples: np.ndarray, length: int, **options: object) -> np.ndarray:
    return to_clip(samples, length, **{"trim_decibels": 0, "longer": "crop", "shorter": "pad"} | options)


@pytest.mark.parametrize(("kind", "error"), [("WAV", 1e-4), ("FLAC", 1e-4), ("OGG", 0.03), ("MP3", 0.03)])
def test_all_four_kinds_are_read(kind: str, error: float) -> None:
    read = read_sound(file(TONE, kind), RATE, 2)
    assert len(read) == RATE
    assert np.abs(read - TONE)[500:-500].max() < error


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100])
def test_a_tone_keeps_its_frequency_and_level_when_resampled(rate: int) -> None:
    read = read_sound(file(np.tile(TONE, 6), "WAV"), rate, 10)  # more than one block
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(read)) / rate)
    assert len(read) == 6 * rate
    assert np.abs(read - expected)[200:-200].max() < 1e-3


def test_frequencies_that_the_lower_rate_cannot_hold_are_removed() -> None:
    high = np.sin(2 * np.pi * 6000 * np.arange(RATE) / RATE)
    assert np.abs(read_sound(file(high, "WAV"), 8000, 2))[200:-200].max() < 1e-3


def test_channels_are_averaged() -> None:
    read = read_sound(file(np.stack([TONE, -0.5 * TONE], axis=1), "WAV", "FLOAT"), RATE, 2)
    assert np.allclose(read, TONE / 4, atol=1e-6)


def test_samples_of_16_bits_are_kept_exactly() -> None:
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, 5000).astype(np.int16)
    assert np.array_equal(clip(read_sound(file(samples, "WAV"), RATE, 2), 5000), samples)


def changed(content: bytes, offset: int, value: bytes) -> bytes:
    return content[:offset] + value + content[offset + len(value) :]


WAV, FLAC = file(TONE, "WAV"), file(TONE, "FLAC")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a WAV, FLAC, OGG or MP3 file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a WAV, FLAC, OGG or MP3 file"),
        (WAV[:20], "not a WAV, FLAC, OGG or MP3 file"),
        (file(TONE, "AIFF"), "a AIFF file, not WAV, FLAC, OGG or MP3"),
        (changed(WAV, 24, struct.pack("<I", 0)), "not a WAV, FLAC, OGG or MP3 file"),
        (changed(WAV, 24, struct.pack("<I", 500)), "a rate of 500 Hz, outside 1000 to 384000 Hz"),
        (changed(WAV, 22, struct.pack("<H", 1000)), "1000 channels, more than 8"),
        (file(np.tile(TONE, 3), "WAV"), "3.0 seconds, more than max_seconds allows"),
        (changed(FLAC, 22, struct.pack(">I", 2**31)), "134217.7 seconds, more than max_seconds allows"),
        (changed(FLAC, 22, struct.pack(">I", 0)), "its header does not say how long it is"),
        (FLAC[: len(FLAC) // 2], "flac decoder lost sync"),
        (file(np.where(np.arange(RATE) == 9, np.nan, TONE), "WAV", "FLOAT"), "a sample is NaN or infinite"),
        (file(np.where(np.arange(RATE) == 9, np.inf, TONE), "WAV", "FLOAT"), "a sample is NaN or infinite"),
        (file(TONE, "MP3")[:1000], "it ends after"),
        (file(TONE[:0], "WAV"), "it has no samples"),
    ],
)
def test_a_file_that_cannot_be_used_has_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableItem, match=reason):
        read_sound(content, 8000, 2)


def test_a_long_file_is_refused_before_it_is_decoded() -> None:
    hour = file(np.zeros(3600 * 1000, np.int16), "FLAC", rate=1000)
    tracemalloc.start()
    with pytest.raises(UnreadableItem, match=r"3600\.0 seconds"):
        read_sound(hour, 8000, 60)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


@pytest.mark.parametrize("peak", [0, 0.0009])
def test_a_silent_clip_is_refused(peak: float) -> None:
    with pytest.raises(UnreadableItem, match="silent"):
        clip(np.full(100, peak), 100)


def test_silence_is_trimmed_at_both_ends_only() -> None:
    sound = np.array([0, 0.004, 0.5, 0, 0.006, 0.004, 0])  # 40 dB below the peak: 0.005
    assert clip(sound, 3, trim_decibels=40, longer="refuse", shorter="refuse").tolist() == [16384, 0, 197]
    assert len(clip(sound, 7, longer="refuse", shorter="refuse")) == 7


def test_a_clip_is_cropped_or_padded_at_its_end_or_refused() -> None:
    sound = np.array([0.5, 0.25, -0.5])
    assert clip(sound, 2).tolist() == [16384, 8192]
    assert clip(sound, 5).tolist() == [16384, 8192, -16384, 0, 0]
    with pytest.raises(UnreadableItem, match="3 samples, more than 2"):
        clip(sound, 2, longer="refuse")
    with pytest.raises(UnreadableItem, match="3 samples, fewer than 5"):
        clip(sound, 5, shorter="refuse")


def test_samples_beyond_full_scale_are_clipped() -> None:
    assert clip(np.array([1.5, -1.5, 0.1]), 3).tolist() == [32767, -32768, 3277]
