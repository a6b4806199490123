"""Tests the inputs of pairs against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.config import RESOLUTIONS
from gan_core.data.pairs import input_of


def test_inpainting_masks_only_the_central_square() -> None:
    target = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    before = target.copy()
    found = input_of(target, "inpainting")
    expected = before.copy()
    expected[2:6, 2:6] = 128
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(target, before)


def test_super_resolution_replaces_each_block_by_its_mean_rounded_half_up() -> None:
    target = np.zeros((8, 8, 2), np.uint8)
    target[:4, 4:, 0] = 255
    target[4:, :4, 0] = np.arange(16).reshape(4, 4)  # mean 7.5
    target[4, 4, 1] = 7  # mean 0.4375
    target[:2, :4, 1] = [[1, 1, 2, 3], [0, 0, 0, 0]]  # mean 0.4375
    found = input_of(target, "super_resolution")
    assert found.dtype == np.uint8
    for rows, columns, channel, level in [
        (slice(0, 4), slice(0, 4), 0, 0),
        (slice(0, 4), slice(4, 8), 0, 255),
        (slice(4, 8), slice(0, 4), 0, 8),
        (slice(4, 8), slice(4, 8), 0, 0),
        (slice(0, 8), slice(0, 8), 1, 0),
    ]:
        assert (found[rows, columns, channel] == level).all()


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("pairs", ["inpainting", "super_resolution"])
def test_inputs_have_the_shape_of_their_targets_at_each_resolution(resolution: int, pairs: str) -> None:
    target = np.full((resolution, resolution, 3), 200, np.uint8)
    found = input_of(target, pairs)
    assert found.shape == target.shape
    hidden = (found != 200).all(axis=2).sum()
    assert hidden == (resolution**2 / 4 if pairs == "inpainting" else 0)
