"""Writes the embedded speech, gan_core/data/embedded/, from Debian's package gcin-voice 0~20170223-3.

    apt-get download gcin-voice && dpkg-deb -x gcin-voice_*.deb unpacked
    python infra/embedded_speech.py unpacked/usr/share/gcin-voice/ogg

A folder is a syllable in Bopomofo, whose suffix is the tone: none 1, then 2, 3, 4; the 11 of suffix 1 have the neutral
tone and are dropped. Each `5.ogg`, 44.1 kHz, is resampled to 8 kHz and stored as 8-bit µ-law. The versions in
requirements-dev.txt give the file of the repository, byte for byte.
"""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

import numpy as np

from gan_core.data.sound import read_sound
from gan_core.data.speech import CLIPS_FILE, FOLDER, RATE, SAMPLES_FILE, from_mu_law

VOICE = "5.ogg"
NEUTRAL = "1"


def main(source: Path, target: Path = FOLDER) -> None:
    """Reads the folders of `source` and writes the two files into `target`."""
    # Each of the 256 codes is nearest to the samples between the midpoints to its neighbours.
    levels = from_mu_law(np.arange(256, dtype=np.uint8)).astype(np.int32)
    order = np.argsort(levels, kind="stable")
    midpoints = (levels[order][1:] + levels[order][:-1]) / 2
    codes, lines = [], []
    for file in sorted(source.glob(f"*/{VOICE}")):
        syllable = file.parent.name
        if not syllable.endswith(NEUTRAL):
            samples = np.rint(read_sound(file.read_bytes(), RATE, max_seconds=1) * 2**15)
            codes.append(order[np.searchsorted(midpoints, samples)].astype(np.uint8))
            lines.append(f"{syllable}\t{len(samples)}\n")
    target.mkdir(exist_ok=True)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0}]
    content = lzma.compress(np.concatenate(codes).tobytes(), filters=filters)
    (target / SAMPLES_FILE).write_bytes(content)
    (target / CLIPS_FILE).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
