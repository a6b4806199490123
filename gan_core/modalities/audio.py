"""Sound: WAV, FLAC, OGG and MP3 files, and the built-in speech. An item is a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gan_core.codecs.audio import AudioCodec
from gan_core.config import AudioSettings
from gan_core.data.sound import SUFFIXES, read_sound, to_clip
from gan_core.data.sources import Folder, Source
from gan_core.data.speech import Speech
from gan_core.errors import UnreadableItem
from gan_core.modalities.modality import Modality


class Audio(Modality[AudioSettings]):
    """Sound; the decoded item is a clip of 16-bit samples, and its spectrogram is stored."""

    item = AudioCodec.item
    settings = AudioSettings
    suffixes = SUFFIXES

    def __init__(self) -> None:
        self.built_in = {"speech": Speech}

    def open(self, path: Path) -> Source:
        """Opens a folder of sound files."""
        return Folder(path, "audio", self.item, SUFFIXES, self.read)

    def decoded(self, settings: AudioSettings) -> tuple[tuple[int, ...], DTypeLike]:
        """Returns the number of samples, and int16."""
        return (settings.samples,), np.int16

    def decode(self, opener: Callable[[], bytes], settings: AudioSettings) -> NDArray[np.int16]:
        """Decodes the content of a sound file; see `gan_core.data.sound`. It must be as long as a frame."""
        sound = read_sound(opener(), settings.rate, settings.max_seconds)
        if len(sound) < settings.frame_length:
            raise UnreadableItem(f"too short: {len(sound)} of the {settings.frame_length} samples of a frame")
        return to_clip(
            sound,
            settings.samples,
            trim_decibels=settings.trim_decibels,
            longer=settings.longer,
            shorter=settings.shorter,
        )

    def fit(
        self, train: Iterable[NDArray[np.int16]], held_out: Iterable[NDArray[np.int16]], settings: AudioSettings
    ) -> AudioCodec:
        """Returns the codec with the mean and deviation of each frequency bin over the training clips."""
        del held_out
        return AudioCodec.fit(
            train,
            rate=settings.rate,
            samples=settings.samples,
            frame_length=settings.frame_length,
            frame_step=settings.frame_step,
        )
