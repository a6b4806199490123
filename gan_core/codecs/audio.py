"""SpecGAN's representation of sound: a clip as an 8-bit picture of its spectrogram, and back.

v = log(|X| + ε), with X the short-time Fourier transform without its highest bin;
u = round(127.5·(1 + clip((v − mean) / (3·deviation), −1, 1))), with the mean and deviation of each frequency bin.

Departures from the publication: ε is 10⁻³ in place of 10⁻⁶, because the long silence of padded clips would otherwise
take most of the 8 bits; and Griffin-Lim is accelerated, because it then comes nearer to the magnitudes.

Reference: Donahue, McAuley and Puckette 2019, arXiv 1802.04208, section 3.2.
"""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gan_core.codecs.codec import Codec
from gan_core.codecs.spectrogram import Frames
from gan_core.errors import InvalidInput

_EPSILON = 1e-3
_CLIPPED_DEVIATIONS = 3.0
_SMALLEST_DEVIATION = 1e-3  # of a bin that is the same in all clips
_DECIMALS = 6  # of means and deviations, so that the last bits of a machine's arithmetic do not change them
_FULL_SCALE = 2**15
_CLIPS_AT_ONCE = 32  # bounds the memory of Griffin-Lim


class AudioCodec(Codec):
    """Stores a clip of `samples` int16 samples as a spectrogram [frame_length / 2, samples / frame_step, 1].

    Attributes:
        rate: samples a second.
        samples: samples in a clip.
        frame_length: samples in a frame of the Fourier transform.
        frame_step: samples between two frames.
        mean, deviation: of each frequency bin's log-magnitudes, lowest frequency first.
    """

    modality: Literal["audio"] = "audio"
    item: ClassVar[str] = "clip"
    lossy: ClassVar[bool] = True
    augmentations: ClassVar[frozenset[str]] = frozenset({"time_translation"})
    extractors: ClassVar[tuple[str, ...]] = ("classifier", "random", "vggish")  # Inception and DINOv2 know photos
    rate: Annotated[int, Field(ge=1, le=2**20)]
    samples: Annotated[int, Field(ge=1, le=2**20)]
    frame_length: Annotated[int, Field(ge=2, le=2**17)]
    frame_step: Annotated[int, Field(ge=2, le=2**16)]
    mean: tuple[Annotated[float, Field(ge=-30, le=30)], ...]
    deviation: tuple[Annotated[float, Field(gt=0, le=30)], ...]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        length, step = self.frame_length, self.frame_step
        if length % 2 or step % 2 or 2 * step > length or self.samples % step:
            raise ValueError("frame_length and frame_step must be even, and frames must overlap by half or more")
        if self.shape != (length // 2, self.samples // step, 1):
            raise ValueError("shape must be frame_length / 2, samples / frame_step, 1")
        if not len(self.mean) == len(self.deviation) == length // 2:
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
            shape=(frame_length // 2, samples // frame_step, 1),
            rate=rate,
            samples=samples,
            frame_length=frame_length,
            frame_step=frame_step,
            mean=tuple(np.round(mean, _DECIMALS).tolist()),
            deviation=tuple(np.round(deviation, _DECIMALS).tolist()),
        )

    def encode(self, decoded: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns the spectrogram of a clip, int16 [samples], with the highest frequency in the first row."""
        spectrogram: NDArray[np.uint8] = self.spectrograms(decoded[None])[0]
        return spectrogram

    def spectrograms(self, clips: NDArray[np.int16]) -> NDArray[np.uint8]:
        """Returns the spectrograms, uint8 [B, H, W, 1], of clips, int16 [B, samples]."""
        levels = _log_magnitudes(self._frames, clips)
        scaled = (levels - np.array(self.mean)) / (_CLIPPED_DEVIATIONS * np.array(self.deviation))
        levels = np.clip(np.floor(scaled * 127.5 + 128), 0, 255)
        spectrograms: NDArray[np.uint8] = levels.transpose(0, 2, 1)[:, ::-1, :, None].astype(np.uint8, order="C")
        return spectrograms

    def decode(self, spectrograms: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Spectrograms uint8 [B, H, W, 1] → clips int16 [B, samples], with phases found by Griffin-Lim."""
        starts = range(_CLIPS_AT_ONCE, len(spectrograms), _CLIPS_AT_ONCE)
        return np.concatenate([self._decode(few) for few in np.split(spectrograms, starts)])

    def _decode(self, spectrograms: NDArray[np.uint8]) -> NDArray[np.int16]:
        scaled = spectrograms[:, ::-1, :, 0].transpose(0, 2, 1) / 127.5 - 1
        levels = scaled * (_CLIPPED_DEVIATIONS * np.array(self.deviation)) + np.array(self.mean)
        magnitudes = np.pad(np.maximum(np.exp(levels) - _EPSILON, 0), ((0, 0), (0, 0), (0, 1)))
        samples = np.rint(self._frames.with_magnitudes(magnitudes) * _FULL_SCALE)
        clips: NDArray[np.int16] = np.clip(samples, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
        return clips

    def require_comparable(self, by: Codec) -> None:
        """Checks that the clips of the codec `by` have the same rate and length."""
        super().require_comparable(by)
        by = cast("AudioCodec", by)
        if (by.rate, by.samples) != (self.rate, self.samples):
            raise InvalidInput(
                f"Clips that are compared must have the same rate and length. Received: {self.samples} samples at "
                f"{self.rate} Hz, and {by.samples} at {by.rate} Hz"
            )

    def perceived(self, arrays: NDArray[np.uint8], by: Codec) -> NDArray[np.uint8]:
        """Returns the spectrograms of the clips that a person hears, which Griffin-Lim cannot match exactly.

        The codec of other data has another mean and deviation.
        """
        self.require_comparable(by)
        by = cast("AudioCodec", by)
        return by.spectrograms(self.decode(arrays))

    def sounds(self, arrays: NDArray[np.uint8]) -> list[bytes]:
        """Returns the content of a WAV file of each spectrogram."""
        return [wav(clip, self.rate) for clip in self.decode(arrays)]

    def answer(self, arrays: NDArray[np.uint8]) -> list[dict[str, str | int]]:
        """Returns for each spectrogram a WAV file, in base64, and its rate in Hz."""
        return [{"wav": base64.b64encode(sound).decode(), "rate": self.rate} for sound in self.sounds(arrays)]

    @property
    def _frames(self) -> Frames:
        return Frames(self.frame_length, self.frame_step)


def _log_magnitudes(frames: Frames, clips: NDArray[np.int16]) -> NDArray[np.float64]:
    """Returns log(|X| + ε) of clips [B, N] without the highest bin, [B, frames, bins]."""
    magnitudes = np.abs(frames.transform(clips / _FULL_SCALE))[:, :, :-1]
    levels: NDArray[np.float64] = np.log(magnitudes + _EPSILON)
    return levels


def wav(clip: NDArray[np.int16], rate: int) -> bytes:
    """Returns the content of a WAV file of a clip, int16 [N]."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(clip.astype("<i2").tobytes())
    return content.getvalue()
