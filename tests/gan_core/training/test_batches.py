import itertools

import numpy as np
import pytest
from datasets import blobs, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import small_training

from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.training.batches import BalancedOrder, EpochOrder, RealBatches
from gan_core.training.draws import Batch
from gan_core.training.loop import Training
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=30).map(lambda labels: np.array(labels, np.int32))


@settings(deadline=None)
@given(count=st.integers(1, 40), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 10**6))
def test_every_epoch_shows_every_image_once(count, seed, epoch):
    positions = EpochOrder(count, seed).indices(epoch * count, count)
    assert sorted(positions) == list(range(count))


@settings(deadline=None)
@given(
    count=st.integers(1, 40), start=st.integers(0, 10**9), sizes=st.lists(st.integers(1, 100), min_size=1, max_size=4)
)
def test_the_order_depends_only_on_the_number_of_images_seen(count, start, sizes):
    ends = np.cumsum([start, *sizes])
    in_pieces = [EpochOrder(count, 7).indices(int(a), int(b - a)) for a, b in itertools.pairwise(ends)]
    np.testing.assert_array_equal(np.concatenate(in_pieces), EpochOrder(count, 7).indices(start, sum(sizes)))


def test_epochs_and_seeds_differ():
    orders = {tuple(EpochOrder(50, seed).indices(50 * epoch, 50)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@settings(deadline=None)
@given(labels=LABELS, seed=st.integers(0, 2**31 - 1), first=st.integers(0, 10**6))
def test_every_round_shows_every_class_once(labels, seed, first):
    classes = np.unique(labels)
    shown = labels[BalancedOrder(labels, seed).indices(first * len(classes), 5 * len(classes))]
    for round_ in shown.reshape(5, len(classes)):
        assert sorted(round_) == list(classes)


@settings(deadline=None)
@given(labels=LABELS, seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 1000))
def test_every_class_shows_all_its_images_before_it_repeats_one(labels, seed, epoch):
    order, classes = BalancedOrder(labels, seed), len(np.unique(labels))
    for one in np.unique(labels):
        members = np.flatnonzero(labels == one)
        shown = order.indices(epoch * len(members) * classes, len(members) * classes)
        assert sorted(shown[labels[shown] == one]) == list(members)


@settings(deadline=None)
@given(labels=LABELS, start=st.integers(0, 10**9), sizes=st.lists(st.integers(1, 100), min_size=1, max_size=4))
def test_the_balanced_order_depends_only_on_the_number_of_images_seen(labels, start, sizes):
    ends = np.cumsum([start, *sizes])
    in_pieces = [BalancedOrder(labels, 7).indices(int(a), int(b - a)) for a, b in itertools.pairwise(ends)]
    np.testing.assert_array_equal(np.concatenate(in_pieces), BalancedOrder(labels, 7).indices(start, sum(sizes)))


def test_each_class_has_its_own_order():
    labels = np.arange(40, dtype=np.int32) % 2
    shown = BalancedOrder(labels, 0).indices(0, 40)
    assert len({tuple(pair) for pair in labels[shown].reshape(20, 2)}) == 2
    evens, odds = shown[labels[shown] == 0] // 2, shown[labels[shown] == 1] // 2
    assert not np.array_equal(evens, odds)


@pytest.fixture(scope="module")
def paired(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "prepared"
    return PreparedDataset(write_dataset(folder, blobs(20), blobs(4), classes=3, pairs="inpainting")).split("train")


def test_batches_contain_the_images_in_order_with_their_labels_or_inputs(paired):
    sizes = {"batch_size": 8, "discriminator_steps": 2}
    positions = EpochOrder(20, seed=0).indices(32, 48)
    plain = RealBatches(paired, small_training(**sizes)).batches(32, 3)
    np.testing.assert_array_equal(plain.images, paired.images(positions).reshape(3, 2, 8, 16, 16, 1))
    assert plain[1:] == (None, None)
    labelled = RealBatches(paired, small_training(conditional=True, **sizes)).batches(32, 3)
    np.testing.assert_array_equal(labelled.images, plain.images)
    np.testing.assert_array_equal(labelled.labels, positions.reshape(3, 2, 8) % 3)
    assert labelled.inputs is None
    pairs = RealBatches(paired, small_training(network="unet", **sizes)).batches(32, 3)
    np.testing.assert_array_equal(pairs.images, plain.images)
    assert pairs.labels is None
    np.testing.assert_array_equal(pairs.inputs, paired.inputs(positions).reshape(3, 2, 8, 16, 16, 1))


def test_a_balanced_batch_contains_equally_many_images_of_each_class(paired):
    config = small_training(conditional=True, balanced_classes=True, batch_size=6, discriminator_steps=2)
    labels = RealBatches(paired, config).batches(24, 1).labels
    assert np.bincount(labels.ravel()).tolist() == [4, 4, 4]


class Arrays:
    """Images and labels in memory, with the members of TrainingImages that an unpaired GAN needs."""

    def __init__(self, images, labels):
        self.count, self._images, self._labels = len(images), images, labels

    def images(self, indices):
        return self._images[indices]

    def labels(self, indices):
        return self._labels[indices]


IMAGES, LABELS_OF_IMAGES = blobs(12), np.arange(12, dtype=np.int32) % 3


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            IMAGES / np.float32(127.5) - 1,
            LABELS_OF_IMAGES,
            r"0 to 255, uint8 .* Received: float32 of shape \(1, 16, 16, 1\)",
        ),
        (IMAGES[..., 0], LABELS_OF_IMAGES, r"uint8 \[B, H, W, C\]\. Received: uint8 of shape \(1, 16, 16\)"),
        (IMAGES[:0], LABELS_OF_IMAGES[:0], r"at least 1 example\. Received: count=0"),
        (IMAGES, LABELS_OF_IMAGES - 1, r"at least 0\. Received: -1"),
        (IMAGES, LABELS_OF_IMAGES.astype(np.float32), r"int32 of shape \(12,\).* Received: float32 of shape \(12,\)"),
        (
            IMAGES,
            np.eye(3, dtype=np.int32)[LABELS_OF_IMAGES],
            r"int32 of shape \(12,\).* Received: int32 of shape \(12, 3\)",
        ),
    ],
)
@pytest.mark.parametrize("changes", [{"conditional": "on"}, {"balanced_classes": True}])
def test_images_and_labels_of_another_form_are_refused(images, labels, message, changes):
    with pytest.raises(InvalidInput, match=message):
        RealBatches(Arrays(images, labels), small_training(**changes))


def test_images_without_what_the_parameters_need_are_refused(tmp_path):
    single = PreparedDataset(write_dataset(tmp_path / "prepared", blobs(20), blobs(4))).split("train")
    for changes, message in (
        ({"balanced_classes": True}, "must have labels"),
        ({"conditional": "on"}, "must have labels"),
        ({"network": "unet"}, "must be pairs"),
        ({"conditional": "auto"}, "'train.conditional' must be on or off"),
    ):
        with pytest.raises(InvalidInput, match=message):
            RealBatches(single, small_training(**changes))


@pytest.mark.parametrize(
    ("changes", "shape", "classes", "message"),
    [
        ({"conditional": "on"}, (16, 16, 1), 2, "below the GAN's number of classes. Received: label 2, 2 classes"),
        ({}, (16, 16, 1), 0, "The labels of a batch must fit .*: none. Received: int32 .1, 1, 8."),
        (
            {"conditional": "on"},
            (28, 28, 1),
            3,
            "The images of a batch must fit .* Received: uint8 .1, 1, 8, 16, 16, 1.",
        ),
        ({"conditional": "on", "batch_size": 4}, (16, 16, 1), 3, "The images of a batch must fit .*: uint8 .1, 1, 4, "),
    ],
)
def test_a_training_refuses_batches_that_do_not_fit_its_gan(changes, shape, classes, message):
    batches = RealBatches(Arrays(IMAGES, LABELS_OF_IMAGES), small_training(conditional="on"))
    with pytest.raises(InvalidInput, match=message):
        Training(Gan(small_training(**changes), shape, classes), batches, None)


def test_a_step_refuses_a_batch_that_does_not_fit_its_gan():
    gan = Gan(small_training(), (16, 16, 1))
    with pytest.raises(InvalidInput, match=r"uint8 \(1, 1, 8, 16, 16, 1\)\. Received: float32"):
        TrainStep(gan)(Batch(np.zeros((1, 1, 8, 16, 16, 1), np.float32)))
    assert gan.images_seen == 0
