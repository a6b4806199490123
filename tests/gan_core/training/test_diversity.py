import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gan_core.training.diversity import WARM_UP_IMAGES, has_collapsed, mean_pairwise_distance, relative_diversity


@settings(deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(2, 6), st.just(2), st.just(3)), elements=st.floats(-1, 1, width=32)))
def test_the_distance_is_the_mean_over_all_pairs(images):
    pairs = itertools.combinations(images.astype(np.float64), 2)
    expected = np.mean([np.linalg.norm(a - b) for a, b in pairs])
    assert mean_pairwise_distance(images) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(
    arrays(np.float32, (7, 2, 3), elements=st.floats(-1, 1, width=32)),
    arrays(np.int32, 7, elements=st.integers(0, 3)),
)
def test_with_labels_only_pairs_of_the_same_class_count(images, labels):
    pairs = [(i, j) for i, j in itertools.combinations(range(7), 2) if labels[i] == labels[j]]
    distances = [np.linalg.norm(images[i].astype(np.float64) - images[j]) for i, j in pairs]
    expected = np.mean(distances) if distances else 0
    assert mean_pairwise_distance(images, labels) == pytest.approx(expected, abs=1e-6)


def test_identical_images_within_each_class_have_no_diversity():
    labels = np.arange(12) % 3
    samples = labels.reshape(12, 1, 1, 1).astype(np.float32)
    assert relative_diversity(samples, 2.0, labels) == pytest.approx(0, abs=1e-6)
    assert relative_diversity(samples, 2.0) > 0.3


def test_equal_images_have_no_diversity_and_a_single_real_image_gives_no_verdict():
    assert relative_diversity(np.ones((4, 3, 3, 1)), real_distance=2.0) == pytest.approx(0, abs=1e-6)
    assert mean_pairwise_distance(np.ones((1, 3, 3, 1))) == 0
    assert relative_diversity(np.ones((4, 3, 3, 1)), real_distance=0.0) == 1


@pytest.mark.parametrize(
    ("images_seen", "diversities", "collapsed"),
    [
        ([10, 20, 30], [0.05, 0.1, 0.1], False),  # at the start all samples are similar
        ([10, 20, 30], [0.05, 0.5, 0.6], False),
        ([10, 20, 30], [0.5, 0.6, 0.1], False),  # a single low value may be chance
        ([10, 20, 30], [0.6, 0.1, 0.1], True),
        ([WARM_UP_IMAGES - 1, WARM_UP_IMAGES], [0.1, 0.1], True),  # the samples never became diverse
        ([WARM_UP_IMAGES], [0.1], False),
    ],
)
def test_a_collapse_is_a_lasting_loss_of_diversity(images_seen, diversities, collapsed):
    assert has_collapsed(images_seen, diversities, threshold=0.2) is collapsed
