"""Mandarin syllables of one voice in four tones, part of this package: 1,147 clips of about 0.3 s at 8 kHz.

The voice is Chu Lo's, recorded for ChionMeilin: `5.ogg` of Debian's package gcin-voice 0~20170223-3, CC-BY-3.0. The
licence is `embedded/LICENSE-speech`; infra/embedded_speech.py writes the data from the package.
"""

from __future__ import annotations

import functools
import hashlib
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.audio import wav
from gan_core.data.sources import RawItem
from gan_core.errors import InvalidInput

RATE = 8000
CLASSES = ("tone 1", "tone 2", "tone 3", "tone 4")
FOLDER = Path(__file__).parent / "embedded"
SAMPLES_FILE = "speech-mu-law.xz"
CLIPS_FILE = "speech-clips.tsv"
# SHA-256 of the decompressed samples followed by the clips' names and lengths.
_SHA256 = "9acd08acbcd264ecfad8eff1eb8220a6995b096d95fce5547e731ef3fc84f7de"
_MU_LAW_BIAS = 132


class Speech:
    """The source `speech`: each item opens as the content of a WAV file."""

    modality = "audio"

    def __init__(self) -> None:
        self.classes: Sequence[str] = CLASSES
        self._clips, self._labels, self._syllables = speech()
        self.count = len(self._clips)

    def __iter__(self) -> Iterator[RawItem]:
        for clip, label, syllable in zip(self._clips, self._labels, self._syllables, strict=True):
            yield RawItem(syllable, int(label), functools.partial(wav, clip, RATE))


def speech(folder: Path = FOLDER) -> tuple[list[NDArray[np.int16]], NDArray[np.int64], list[str]]:
    """Returns the clips, int16 [N] at 8 kHz, their classes' indices, and their syllables in Bopomofo.

    Raises:
        InvalidInput: the files in the folder are not those of this package.
    """
    try:
        codes = lzma.decompress((folder / SAMPLES_FILE).read_bytes())
        index = (folder / CLIPS_FILE).read_bytes()
    except (OSError, lzma.LZMAError) as error:
        raise InvalidInput(f"The embedded speech must be readable: {error}. Received: {folder}") from None
    digest = hashlib.sha256(codes + index).hexdigest()
    if digest != _SHA256:
        raise InvalidInput(f"The embedded speech must have SHA-256 {_SHA256}. Received: {folder} with {digest}")
    syllables, lengths = zip(*(line.split("\t") for line in index.decode().splitlines()), strict=True)
    ends = np.cumsum([int(length) for length in lengths])
    tones = [int(syllable[-1]) if syllable[-1].isascii() else 1 for syllable in syllables]
    return np.split(from_mu_law(np.frombuffer(codes, np.uint8)), ends[:-1]), np.array(tones) - 1, list(syllables)


def from_mu_law(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Decodes µ-law (ITU-T G.711) to samples of 16 bits: ±((132 + 8m)·2ᵉ − 132) of exponent e and mantissa m."""
    bits = ~codes
    exponent, mantissa = bits >> 4 & 7, bits & 15
    magnitude = ((mantissa.astype(np.int32) << 3) + _MU_LAW_BIAS << exponent) - _MU_LAW_BIAS
    return np.where(bits & 128, -magnitude, magnitude).astype(np.int16)
