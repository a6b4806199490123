"""Paths between latents, compared with their closed form."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.interpolation import closed_path, spherical
from gan_core.sampling import draw_latents


def angle(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the angle by Kahan's formula, which rounding does not spoil near 0."""
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    return float(2 * np.arctan2(np.linalg.norm(one - other), np.linalg.norm(one + other)))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.75, 1.0])
def test_the_angle_and_the_length_change_at_constant_rates(share: float) -> None:
    start, end = draw_latents(2, 64, seed=3).astype(np.float64)
    end *= 2
    point = spherical(start, end, share)
    expected = (1 - share) * np.linalg.norm(start) + share * np.linalg.norm(end)
    assert np.linalg.norm(point) == pytest.approx(expected, rel=1e-12)
    assert angle(start, point) == pytest.approx(share * angle(start, end), abs=1e-12)
    assert angle(point, end) == pytest.approx((1 - share) * angle(start, end), abs=1e-12)


def test_a_quarter_of_a_circle_is_the_known_one() -> None:
    half = spherical(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 1 / 3)
    np.testing.assert_allclose(half, [np.sqrt(3) / 2, 1 / 2], rtol=1e-12)


@pytest.mark.parametrize("end", [[2.0, 0.0], [-2.0, 0.0], [0.0, 0.0]])
def test_a_path_without_a_plane_is_straight(end: list[float]) -> None:
    start = np.array([1.0, 0.0])
    np.testing.assert_array_equal(spherical(start, np.array(end), 0.25), 0.75 * start + 0.25 * np.array(end))


def test_a_closed_path_passes_through_its_points() -> None:
    points = draw_latents(3, 16, seed=0)
    path = closed_path(points, 5)
    assert (path.shape, path.dtype) == ((15, 16), np.float32)
    np.testing.assert_array_equal(path[::5], points)
    np.testing.assert_allclose(path[14], spherical(points[2], points[0], 0.8), rtol=1e-5)
