"""Reads a sound file safely: its header is checked before anything is decoded, and it is decoded in blocks.

Steps: mono by the mean of the channels, resampling, silence trimmed at both ends, cropped or padded to the length.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.data.sound_length import is_estimated_mp3, require_whole
from gan_core.data.unreadable import reasons
from gan_core.errors import UnreadableItem

if TYPE_CHECKING:
    import soundfile

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3"})
RATES = (1000, 384_000)
"""Lowest and highest accepted rate of a file, in Hz."""
MOST_CHANNELS = 8
SILENCE = 1e-3
"""A clip whose peak is below this share of full scale, −60 dB, is silent.

So is one whose samples differ by less: a constant is no sound.
"""
LOUDEST = 4
"""A sample above this multiple of full scale, +12 dB, is refused: floats that are no share of full scale."""

_FORMATS = frozenset({"WAV", "WAVEX", "FLAC", "OGG", "MP3"})
_BLOCK_FRAMES = 2**16
_UNKNOWN_FRAMES = 2**62  # libsndfile's number of frames for a header that does not name it is 2⁶³ − 1
# Sentences in place of libsndfile's own, where those speak of libsndfile and not of the file.
_SENTENCES = {
    7: "it has no whole frames of MP3",
    24: "its rate or length is impossible",
    29: "its format contradicts itself",
    39: "it ends too early",
}

Longer = Literal["crop", "refuse"]
Shorter = Literal["pad", "refuse"]


def read_sound(content: bytes, rate: int, max_seconds: float) -> NDArray[np.float64]:
    """Decodes a WAV, FLAC, OGG or MP3 file to mono samples at `rate`, float64 [N], with full scale at ±1.

    Args:
        content: content of the file.
        rate: samples a second of the result.
        max_seconds: a longer file is refused before it is decoded.

    Raises:
        UnreadableItem: the file is damaged or cut off, is of another kind, exceeds a limit, or has a sample that is
            not finite or far above full scale.
    """
    import soundfile

    with reasons():
        content = require_whole(content)
        try:
            file = soundfile.SoundFile(io.BytesIO(content))
        except soundfile.LibsndfileError as error:
            rule = "not a WAV, FLAC, OGG or MP3 file, or its header is damaged"
            raise UnreadableItem(_with_sentence(rule, error)) from None
        with file:
            _require_modest(file, max_seconds)
            blocks = _blocks(file, may_end_early=file.format == "MP3" and is_estimated_mp3(content))
            return np.concatenate(list(_resampled(blocks, file.samplerate, rate)))


def to_clip(
    samples: NDArray[np.float64], length: int, *, trim_decibels: float, longer: Longer, shorter: Shorter
) -> NDArray[np.int16]:
    """Trims silence at both ends and crops or pads the end, so that the clip has `length` samples, int16 [length].

    Args:
        samples: float64 [N], full scale at ±1; louder samples are clipped.
        length: samples of the clip.
        trim_decibels: samples before the first and after the last one that is within this distance of the peak are
            silence; 0 trims nothing.
        longer: what happens to a longer sound: its end is cropped, or it is refused.
        shorter: what happens to a shorter one: zeros are appended, or it is refused.

    Raises:
        UnreadableItem: the sound is silent, or too long or too short.
    """
    levels = np.abs(samples)
    peak = levels.max(initial=0.0)
    if peak < SILENCE:
        raise UnreadableItem("silent: no sample is above -60 dB of full scale")
    if np.ptp(samples) < SILENCE:
        raise UnreadableItem("silent: its samples are all the same, to -60 dB of full scale")
    if trim_decibels > 0:
        loud = np.flatnonzero(levels >= peak * 10 ** (-trim_decibels / 20))
        samples = samples[loud[0] : loud[-1] + 1]
    if len(samples) > length and longer == "refuse":
        raise UnreadableItem(f"{len(samples)} samples, more than {length}, and longer is refuse")
    if len(samples) < length and shorter == "refuse":
        raise UnreadableItem(f"{len(samples)} samples, fewer than {length}, and shorter is refuse")
    clip = np.zeros(length, np.int16)
    kept = np.rint(samples[:length] * 2**15)
    clip[: len(kept)] = np.clip(kept, -(2**15), 2**15 - 1)
    return clip


def _require_modest(file: soundfile.SoundFile, max_seconds: float) -> None:
    if file.format not in _FORMATS:
        raise UnreadableItem(f"its format is {file.format}, not WAV, FLAC, OGG or MP3")
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise UnreadableItem(f"a rate of {file.samplerate} Hz, outside {RATES[0]} to {RATES[1]} Hz")
    if file.channels > MOST_CHANNELS:
        raise UnreadableItem(f"{file.channels} channels, more than {MOST_CHANNELS}")
    if file.frames >= _UNKNOWN_FRAMES:
        raise UnreadableItem("its header does not say how long it is")
    if file.frames > max_seconds * file.samplerate:
        raise UnreadableItem(f"{file.frames / file.samplerate:.1f} seconds, more than max_seconds allows")


def _blocks(file: soundfile.SoundFile, *, may_end_early: bool) -> Iterator[NDArray[np.float64]]:
    """Yields the samples of a file as float64 [N, channels]."""
    import soundfile

    frames = 0
    while frames < file.frames:
        try:
            block = file.read(min(_BLOCK_FRAMES, file.frames - frames), "float64", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UnreadableItem(
                _with_sentence(f"cut off or damaged, before all {file.frames} samples are read", error)
            ) from None
        if not len(block) and may_end_early:
            break
        if not len(block):
            raise UnreadableItem(f"cut off: it ends after {frames} of {file.frames} samples")
        if not np.isfinite(block).all():
            raise UnreadableItem("a sample is NaN or infinite")
        if (loudest := np.abs(block).max()) > LOUDEST:
            raise UnreadableItem(f"a sample is {loudest:.4g} times full scale, more than {LOUDEST}")
        frames += len(block)
        yield block
    if not frames:
        raise UnreadableItem("it has no samples")


def _resampled(blocks: Iterator[NDArray[np.float64]], file_rate: int, rate: int) -> Iterator[NDArray[np.float64]]:
    """Yields the means of the channels, at `rate`."""
    import soxr

    resample = soxr.ResampleStream(file_rate, rate, 1, "float64", "HQ") if file_rate != rate else None
    for block in blocks:
        mono = block.mean(axis=1)
        yield mono if resample is None else resample.resample_chunk(mono)
    if resample is not None:
        yield resample.resample_chunk(np.zeros(0), last=True)


def _with_sentence(rule: str, error: soundfile.LibsndfileError) -> str:
    said = error.error_string.removeprefix("Error : ").removesuffix(".")
    return f"{rule}: {_SENTENCES.get(error.code, said)}"
