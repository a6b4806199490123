import numpy as np
import pytest

from gan_core.errors import InvalidInput
from gan_core.sampling import draw_labels, draw_latents


def test_latents_are_normal_and_scaled_by_the_truncation():
    latents = draw_latents(20_000, 4, seed=0)
    assert abs(latents.mean()) < 0.02
    assert abs(latents.std() - 1) < 0.02
    np.testing.assert_array_equal(draw_latents(20_000, 4, seed=0, truncation=0.5), 0.5 * latents)
    np.testing.assert_array_equal(draw_latents(10, 4, seed=0), latents[:10])


def test_wrong_numbers_are_refused():
    for received, draw in (
        ("count=0", lambda: draw_latents(0, 4, seed=0)),
        ("count=-1", lambda: draw_labels(-1, (1.0,), seed=0)),
        ("latent_size=0", lambda: draw_latents(1, 0, seed=0)),
        ("seed=-1", lambda: draw_latents(1, 4, seed=-1)),
        ("seed=-1", lambda: draw_labels(1, (1.0,), seed=-1)),
    ):
        with pytest.raises(InvalidInput, match=rf"of a draw must be at least [01]\. Received: {received}$"):
            draw()


def test_labels_have_the_class_shares_and_do_not_depend_on_their_number():
    shares = (0.5, 0.0, 0.3, 0.2)
    labels = draw_labels(20_000, shares, seed=4)
    assert labels.dtype == np.int32
    np.testing.assert_allclose(np.bincount(labels, minlength=4) / 20_000, shares, atol=0.015)
    np.testing.assert_array_equal(draw_labels(10, shares, seed=4), labels[:10])
    assert np.any(draw_labels(10, shares, seed=5) != labels[:10])
    latents = draw_latents(20_000, 1, seed=4)[:, 0]
    assert abs(np.corrcoef(labels, latents)[0, 1]) < 0.03
    assert set(draw_labels(50, (1.0,), seed=0)) == {0}
