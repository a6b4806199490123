"""The image shapes that networks accept, and the networks' widths. Imports no TensorFlow, so checks are immediate."""

from __future__ import annotations

from gan_core.config import RESOLUTIONS
from gan_core.errors import InvalidInput


def check_shape(network: str, shape: tuple[int, int, int], symbols: int = 0) -> None:
    """Checks that the networks can be built for stored arrays of `shape` [H, W, C].

    Args:
        network: the value of `train.network`.
        shape: height, width, channels.
        symbols: number of different codes in an array; 0 for levels.

    Raises:
        InvalidInput: the network is for other data, or the height, the width or the number of channels is not
            supported.
    """
    height, width, channels = shape
    if (network == "text") != bool(symbols):
        raise InvalidInput(
            "The parameter 'train.network' must be text for texts, and dcgan, resnet, r3gan, fastgan or unet for other "
            "data. "
            f"Received: network={network!r}, {'texts' if symbols else 'other data'}"
        )
    if symbols:
        return
    if height not in RESOLUTIONS or width not in RESOLUTIONS or channels not in (1, 3):
        raise InvalidInput(
            f"The networks take images whose height and width are each one of {', '.join(map(str, RESOLUTIONS))} "
            f"pixels, with 1 or 3 channels. Received: height={height}, width={width}, channels={channels}"
        )


def halvings(shape: tuple[int, int, int]) -> int:
    """How often networks halve an image of `shape` [H, W, C]: until the shorter side is 4 pixels, or a side is 7."""
    return min((side // (7 if side % 7 == 0 else 4)).bit_length() - 1 for side in shape[:2])


def base(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the smallest map, such as 4 and 16 for images of 64 × 256 pixels."""
    return shape[0] >> halvings(shape), shape[1] >> halvings(shape)


def widths(halvings: int, width: int, growth: int) -> list[int]:
    """Channels before and after each of the halvings: `width`, doubling up to `growth` · `width`."""
    return [width * min(2**halving, growth) for halving in range(halvings + 1)]
