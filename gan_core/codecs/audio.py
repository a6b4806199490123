"""SpecGAN's representation of sound: a clip as an 8-bit picture of its spectrogram, and back.

v = log(|X| + ε), with X the short-time Fourier transform without its highest bin;
u = round(127.5·(1 + clip((v − mean) / (3·deviation), −1, 1))), with the mean and deviation of each frequency bin.

Departures from the publication: ε is 10⁻³ in place of 10⁻⁶, because the long silence of padded clips would otherwise
take most of the 8 bits; and Griffin-Lim is accelerated, because it then comes nearer to the magnitudes.

Reference: Donahue, McAuley and Puckette 2019, arXiv 1802.04208, section 3.2.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gan_core.codecs.spectrogram import Frames
from gan_core.record import Record

_EPSILON = 1e-3
_CLIPPED_DEVIATIONS = 3.0
_SMALLEST_DEVIATION = 1e-3  # of a bin that is the same in all clips
_DECIMALS = 6  # of means and deviations, so that the last bits of a machine's arithmetic do not change them
_FULL_SCALE = 2**15


class AudioCodec(Record):
    """Turns clips of `samples` int16 samples into uint8 spectrograms [frame_length / 2, samples / frame_step, 1].

    Attributes:
        rate: samples a second.
        samples: samples in a clip.
        frame_length: samples in a frame of the Fourier transform.
        frame_step: samples between two frames.
        mean, deviation: of each frequency bin's log-magnitudes, lowest frequency first.
    """

    modality: Literal["audio"] = "audio"
    rate: Annotated[int, Field(ge=1)]
    samples: Annotated[int, Field(ge=1)]
    frame_length: Annotated[int, Field(ge=2)]
    frame_step: Annotated[int, Field(ge=1)]
    mean: tuple[float, ...]
    deviation: tuple[Annotated[float, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if not len(self.mean) == len(self.deviation) == self.frame_length // 2:
            raise ValueError("mean and deviation must have a value for each frequency bin")
        return self

    @classmethod
    def fit(
        cls, clips: Iterable[NDArray[np.int16]], *, rate: int, samples: int, frame_length: int, frame_step: int
    ) -> Self:
        """Measures mean and deviation of each frequency bin over the frames of all clips, each int16 [samples]."""
        frames = Frames(frame_length, frame_step)
        total, squares, count = np.zeros(frame_length // 2), np.zeros(frame_length // 2), 0
        for clip in clips:
            levels = _log_magnitudes(frames, clip[None])[0]
            total += levels.sum(axis=0)
            squares += (levels**2).sum(axis=0)
            count += len(levels)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, _SMALLEST_DEVIATION**2))
        return cls(
            rate=rate,
            samples=samples,
            frame_length=frame_length,
            frame_step=frame_step,
            mean=tuple(np.round(mean, _DECIMALS).tolist()),
            deviation=tuple(np.round(deviation, _DECIMALS).tolist()),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frequency bins, frames, 1."""
        return self.frame_length // 2, self.samples // self.frame_step, 1

    def encode(self, clips: NDArray[np.int16]) -> NDArray[np.uint8]:
        """Clips int16 [B, samples] → spectrograms uint8 [B, H, W, 1], with the highest frequency in the first row."""
        levels = _log_magnitudes(self._frames, clips)
        scaled = (levels - np.array(self.mean)) / (_CLIPPED_DEVIATIONS * np.array(self.deviation))
        pictures = np.clip(np.floor(scaled * 127.5 + 128), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pictures.transpose(0, 2, 1)[:, ::-1, :, None])

    def decode(self, spectrograms: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Spectrograms uint8 [B, H, W, 1] → clips int16 [B, samples], with phases found by Griffin-Lim."""
        scaled = spectrograms[:, ::-1, :, 0].transpose(0, 2, 1) / 127.5 - 1
        levels = scaled * (_CLIPPED_DEVIATIONS * np.array(self.deviation)) + np.array(self.mean)
        magnitudes = np.pad(np.maximum(np.exp(levels) - _EPSILON, 0), ((0, 0), (0, 0), (0, 1)))
        samples = np.rint(self._frames.with_magnitudes(magnitudes) * _FULL_SCALE)
        return np.clip(samples, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)

    def perceived(self, spectrograms: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The spectrograms [B, H, W, 1] of the clips that a person hears."""
        return self.encode(self.decode(spectrograms))

    def wav(self, clip: NDArray[np.int16]) -> bytes:
        """A WAV file of a clip, int16 [samples]."""
        content = io.BytesIO()
        with wave.open(content, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(clip.astype("<i2").tobytes())
        return content.getvalue()

    @property
    def _frames(self) -> Frames:
        return Frames(self.frame_length, self.frame_step)


def _log_magnitudes(frames: Frames, clips: NDArray[np.int16]) -> NDArray[np.float64]:
    """Returns log(|X| + ε) of clips [B, N] without the highest bin, [B, frames, bins]."""
    magnitudes = np.abs(frames.transform(clips / _FULL_SCALE))[:, :, :-1]
    levels: NDArray[np.float64] = np.log(magnitudes + _EPSILON)
    return levels
