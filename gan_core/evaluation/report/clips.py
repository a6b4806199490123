"""The report's clips: sounds to play, each with its spectrogram."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.codec import Codec
from gan_core.evaluation.images import ImagesWithFeatures
from gan_core.evaluation.metrics.neighbours import nearest
from gan_core.evaluation.report.pictures import Picture, tile

CLIPS = 16


@dataclass(frozen=True)
class Clip:
    """A sound, `data:audio/wav;base64,…`, and the picture of its spectrogram."""

    picture: Picture
    sound: str


@dataclass(frozen=True)
class ClipRow:
    """Clips of one kind."""

    title: str
    clips: list[Clip]


def clip_rows(
    codec: Codec, generated: ImagesWithFeatures, known: ImagesWithFeatures | None, known_kind: str
) -> list[ClipRow]:
    """The first generated clips, and for each the known clip whose features are nearest; empty without sound.

    Args:
        codec: the codec of the data.
        generated: the generated items.
        known: training items, or real ones.
        known_kind: "training clip" or "real clip".
    """
    count = min(CLIPS, generated.images.count)
    arrays = np.stack(list(generated.images.images(np.arange(count))))
    sounds = codec.sounds(arrays)
    if not sounds:
        return []
    rows = [ClipRow("Generated", _clips(arrays, sounds, [f"generated {number}" for number in range(1, count + 1)]))]
    if known and len(known.features.features):
        indices, distances = nearest(generated.features.features[:count], known.features.features, 1)
        neighbours = np.stack(list(known.images.images(indices[:, 0])))
        captions = [f"of {number}, distance {distance:.2f}" for number, distance in enumerate(distances[:, 0], 1)]
        rows.append(ClipRow(f"Nearest {known_kind} of each", _clips(neighbours, codec.sounds(neighbours), captions)))
    return rows


def _clips(arrays: NDArray[np.uint8], sounds: Sequence[bytes], captions: Sequence[str]) -> list[Clip]:
    return [
        Clip(
            tile(array, f"Spectrogram, {caption}", caption), f"data:audio/wav;base64,{base64.b64encode(sound).decode()}"
        )
        for array, sound, caption in zip(arrays, sounds, captions, strict=True)
    ]
