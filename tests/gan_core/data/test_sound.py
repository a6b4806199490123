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


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * RATE)
WAV, FLAC = file(TONE, "WAV"), file(TONE, "FLAC")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a WAV, FLAC, OGG or MP3 file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a WAV, FLAC, OGG or MP3 file"),
        (WAV[:20], "not a WAV, FLAC, OGG or MP3 file"),
        (file(TONE, "AIFF"), "its format is AIFF, not WAV, FLAC, OGG or MP3"),
        (changed(WAV, 24, struct.pack("<I", 0)), "its header is damaged: its rate or length is impossible"),
        (changed(WAV, 24, struct.pack("<I", 500)), "a rate of 500 Hz, outside 1000 to 384000 Hz"),
        (changed(WAV, 22, struct.pack("<H", 1000)), "1000 channels, more than 8"),
        (file(np.tile(TONE, 3), "WAV"), "3.0 seconds, more than max_seconds allows"),
        (changed(FLAC, 22, struct.pack(">I", 2**31)), "134217.7 seconds, more than max_seconds allows"),
        (changed(FLAC, 22, struct.pack(">I", 0)), "its header does not say how long it is"),
        (FLAC[: len(FLAC) // 2], "cut off or damaged, before all 16000 samples are read: flac decoder lost sync"),
        (changed(FLAC, 22, struct.pack(">I", RATE + 1)), "before all 16001 samples are read: it ends too early"),
        (file(np.where(np.arange(RATE) == 9, np.nan, TONE), "WAV", "FLOAT"), "a sample is NaN or infinite"),
        (file(np.where(np.arange(RATE) == 9, np.inf, TONE), "WAV", "FLOAT"), "a sample is NaN or infinite"),
        (file(TONE, "MP3")[:1000], "it ends after"),
        (file(TONE, "MP3")[:50], "it has no whole frames of MP3"),
        (file(4.1 * TONE * 2, "WAV", "FLOAT"), "a sample is 4.1 times full scale, more than 4"),
        (file(TONE * 2**15, "WAV", "DOUBLE"), "a sample is 1.638e.04 times full scale, more than 4"),
        (file(TONE[:0], "WAV"), "it has no samples"),
    ],
)
def test_a_file_that_cannot_be_used_has_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableItem, match=reason):
        read_sound(content, 8000, 2)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_refused(kind: str, share: float) -> None:
    whole = file(NOISE, kind)
    with pytest.raises(UnreadableItem, match="cut off"):
        read_sound(whole[: int(len(whole) * share)], 8000, 5)


@pytest.mark.parametrize("subtype", sorted(soundfile.available_subtypes("WAV").keys() - {"MPEG_LAYER_III"}))
def test_a_wav_file_of_any_coding_is_read_whole_only(subtype: str) -> None:
    whole = file(TONE, "WAV", subtype)
    assert np.abs(read_sound(whole, RATE, 2)[:RATE] - TONE)[500:-500].max() < 0.4
    with pytest.raises(UnreadableItem, match="cut off"):
        read_sound(whole[:-300], RATE, 2)


def test_a_big_endian_wav_file_is_read_whole_only() -> None:
    content = io.BytesIO()
    soundfile.write(content, TONE, RATE, format="WAV", endian="BIG")
    assert content.getvalue().startswith(b"RIFX")
    assert len(read_sound(content.getvalue(), RATE, 2)) == RATE
    with pytest.raises(UnreadableItem, match="cut off: 31999 of 32000 bytes of samples"):
        read_sound(content.getvalue()[:-1], RATE, 2)


@pytest.mark.parametrize(
    ("whole", "samples"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF),  # ffmpeg
        (0x7FFFF024, 0x7FFFF000),  # SoX
        (0x80000024, 0x80000000),  # arecord
        (36, 0),  # a header written before the samples, and never again
        (0, 0),
        (0xFFFFFFFF, 0),
    ],
)
def test_a_wav_file_that_was_written_to_a_pipe_is_read_to_its_end(whole: int, samples: int) -> None:
    content = changed(changed(WAV, 4, struct.pack("<I", whole)), 40, struct.pack("<I", samples))
    assert np.array_equal(read_sound(content, RATE, 2), read_sound(WAV, RATE, 2))


def test_chunks_around_the_samples_are_no_samples() -> None:
    chunk = b"note\x03\x00\x00\x00abc\x00"  # of odd length, so padded
    content = WAV[:36] + chunk + WAV[36:] + chunk
    assert np.array_equal(read_sound(content, RATE, 2), read_sound(WAV, RATE, 2))
    with pytest.raises(UnreadableItem, match="cut off"):
        read_sound(content[: -len(chunk) - 1], RATE, 2)
    empty = WAV[:40] + bytes(4) + chunk
    with pytest.raises(UnreadableItem):
        read_sound(changed(empty, 4, struct.pack("<I", len(empty) - 8)), RATE, 2)


def test_a_damaged_page_of_an_ogg_file_is_noticed() -> None:
    ogg = file(NOISE, "OGG")
    middle = len(ogg) // 2
    with pytest.raises(UnreadableItem, match=r"damaged: the page at byte \d+ does not have its checksum"):
        read_sound(changed(ogg, middle, bytes([ogg[middle] ^ 1])), RATE, 5)
    page = ogg.index(b"OggS", middle)
    with pytest.raises(UnreadableItem, match=f"damaged: no page begins at byte {page}"):
        read_sound(ogg[:page] + b"x" + ogg[page:], RATE, 5)
    assert np.array_equal(read_sound(ogg + bytes(100), RATE, 5), read_sound(ogg, RATE, 5))


def test_an_mp3_file_without_a_count_of_frames_may_be_shorter_than_estimated() -> None:
    content = io.BytesIO()
    with soundfile.SoundFile(
        content, "w", 44100, 1, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3
    ) as target:
        target.write(
            np.concatenate([np.zeros_like(NOISE), NOISE])
        )  # silence takes few bytes, so a long file is expected
    mp3 = content.getvalue()
    uncounted = mp3[mp3.index(mp3[:2], 2) :]
    with soundfile.SoundFile(io.BytesIO(uncounted)) as opened:
        assert opened.frames > 3 * len(NOISE)
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x0a" + b"Xing" + bytes(2 * 128 + 10 - 4)
    for before in (b"", tag):
        assert abs(len(read_sound(before + uncounted, 44100, 5)) - 2 * len(NOISE)) < 3000
        with pytest.raises(UnreadableItem, match="cut off: it ends after"):
            read_sound(before + mp3[: len(mp3) // 2], 44100, 5)


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


def test_a_constant_is_silent() -> None:
    with pytest.raises(UnreadableItem, match="silent: its samples are all the same"):
        clip(np.full(100, 0.5), 100)


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
