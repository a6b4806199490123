"""The image shapes that networks accept, and the networks' widths. Imports no TensorFlow, so checks are immediate."""

from __future__ import annotations

from gan_core.config import RESOLUTIONS
from gan_core.errors import InvalidInput


def check_shape(shape: tuple[int, int, int]) -> None:
    """Checks that networks can be built for images of `shape` [H, W, C].

    Raises:
        InvalidInput: the resolution or the number of channels is not supported.
    """
    height, width, channels = shape
    if height != width or height not in RESOLUTIONS or channels not in (1, 3):
        raise InvalidInput(
            f"The networks take square images of {', '.join(map(str, RESOLUTIONS))} pixels with 1 or 3 channels. "
            f"Received: height={height}, width={width}, channels={channels}"
        )


def base(resolution: int) -> int:
    """The resolution at which the halvings of `resolution` end: 7 or 4 pixels."""
    return 7 if resolution % 7 == 0 else 4


def widths(resolution: int, width: int, growth: int) -> list[int]:
    """Channels at `resolution`, 1/2, 1/4, … of it down to the base: `width`, doubling up to `growth` · `width`."""
    halvings = (resolution // base(resolution)).bit_length() - 1
    return [width * min(2**halving, growth) for halving in range(halvings + 1)]
