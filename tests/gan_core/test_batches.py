import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.batches import EpochOrder


@settings(deadline=None)
@given(count=st.integers(1, 40), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 10**6))
def test_every_epoch_shows_every_image_once(count, seed, epoch):
    positions = EpochOrder(count, seed).positions(epoch * count, count)
    assert sorted(positions) == list(range(count))


@settings(deadline=None)
@given(
    count=st.integers(1, 40), start=st.integers(0, 10**9), sizes=st.lists(st.integers(1, 100), min_size=1, max_size=4)
)
def test_the_order_depends_on_nothing_but_the_number_of_the_image(count, start, sizes):
    ends = np.cumsum([start, *sizes])
    in_pieces = [EpochOrder(count, 7).positions(int(a), int(b - a)) for a, b in itertools.pairwise(ends)]
    np.testing.assert_array_equal(np.concatenate(in_pieces), EpochOrder(count, 7).positions(start, sum(sizes)))


def test_epochs_and_seeds_differ():
    orders = {tuple(EpochOrder(50, seed).positions(50 * epoch, 50)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
