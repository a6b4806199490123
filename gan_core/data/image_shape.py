"""Chooses the shape of prepared images from the raw images, for the values of `prepare.image` that are `auto`."""

from __future__ import annotations

import hashlib
import heapq
import logging
import statistics

from gan_core.config import RESOLUTIONS, ImageSettings
from gan_core.data.decode import decode
from gan_core.data.sources import RawItem, Source
from gan_core.data.unreadable import reasons
from gan_core.errors import UnreadableItem

LARGEST_SIDE = 64
"""Pixels. Two processor cores learn larger images in hours only; whoever has more names the side."""
_SAMPLE = 256
_COLOURED = 16  # levels between the channels of a pixel; noise of a grey JPEG stays below
_FEWEST_COLOURED = 0.05
_logger = logging.getLogger(__name__)


def with_shape(settings: ImageSettings, source: Source) -> ImageSettings:
    """Replaces `auto` in `height`, `width` and `channels`.

    Up to 256 images decide, chosen by the digests of their paths, so the order of the source does not matter. A side is
    the largest that networks can generate, up to LARGEST_SIDE, and not above the median of the images' shorter sides.
    If the other side is given, both are equal. There are 3 channels if more than a twentieth of the images have colour.
    """
    if not (chosen := settings.automatic):
        return settings
    shorter, coloured = zip(*_measured(settings, source), strict=True)
    median = statistics.median_low(shorter)
    fitting = [side for side in RESOLUTIONS if side <= min(median, LARGEST_SIDE)] or [min(RESOLUTIONS)]
    given = [side for name in ("height", "width") if name not in chosen and (side := getattr(settings, name))]
    side = given[0] if given else fitting[-1]
    found = {
        "height": side,
        "width": side,
        "channels": 3 if sum(coloured) > _FEWEST_COLOURED * len(coloured) else 1,
    }
    _logger.info(
        "%s: chosen from %d images, with a median shorter side of %d pixels and %d of them in colour",
        ", ".join(f"prepare.image.{name}={found[name]}" for name in chosen),
        len(shorter),
        median,
        sum(coloured),
    )
    return settings.model_copy(update={name: found[name] for name in chosen})


def _measured(settings: ImageSettings, source: Source) -> list[tuple[int, bool]]:
    """Returns the shorter side of up to _SAMPLE images, in pixels, and whether it has colour.

    The images are measured while the source yields them, so their contents need not stay in memory.
    """
    small = settings.model_copy(update={"height": 32, "width": 32, "channels": 3})
    kept: list[tuple[int, int, bool]] = []
    for item in source:
        rank = -int.from_bytes(hashlib.sha256(item.path.encode()).digest()[:8], "big")
        if (len(kept) < _SAMPLE or rank > kept[0][0]) and (measured := _measure(item, small)):
            (heapq.heappush if len(kept) < _SAMPLE else heapq.heapreplace)(kept, (rank, *measured))
    return [(shorter, coloured) for _, shorter, coloured in kept] or [(min(RESOLUTIONS), False)]


def _measure(item: RawItem, small: ImageSettings) -> tuple[int, bool] | None:
    """Returns the image's shorter side and whether it has colour; None if it cannot be read."""
    try:
        with reasons(), item.open() as image:
            shorter = min(image.size)
        levels = decode(item.open, small)
    except UnreadableItem:
        return None
    return shorter, bool((levels.max(axis=2).astype(int) - levels.min(axis=2)).max() > _COLOURED)
