"""Conditional and paired GANs learn from their conditions, and a resumed training gives the same weights."""

import numpy as np
import pytest
from datasets import blobs, write_dataset
from recipes import small_training

from gan_core.data.prepared import PreparedDataset
from gan_core.sampling import draw_latents
from gan_core.training.batches import RealBatches
from gan_core.training.checkpoints import Checkpoints
from gan_core.training.diversity import mean_pairwise_distance, relative_diversity
from gan_core.training.loop import Training
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep

BOTH = pytest.mark.parametrize(
    "changes",
    [
        {"conditional": True, "balanced_classes": True},
        {"network": "unet", "reconstruction": "l1", "reconstruction_weight": 100.0},
    ],
    ids=["conditional", "paired"],
)


class StopRequest:
    """Hooks that ask to stop after `stop_after` images."""

    def __init__(self, stop_after=10**9):
        self.seen, self.stop_after = 0, stop_after

    def on_step(self, images_seen):
        self.seen = images_seen

    def on_row(self, row):
        pass

    def on_samples(self, images_seen, images):
        pass

    def stop_requested(self):
        return self.seen >= self.stop_after


def corners(count):
    """Returns blobs at the top, bottom left or bottom right for the class i % 3, shifted by up to a pixel."""
    images = blobs(count, seed=5)
    rows, columns = np.array([-4, 4, 4]), np.array([0, -4, 4])
    centred = []
    for number, image in enumerate(images):
        top, left = (round(float(np.average(np.arange(16), weights=image[:, :, 0].sum(axis=axis)))) for axis in (1, 0))
        jitter = np.random.default_rng(number).integers(-1, 2, 2)
        moved = 8 - top + rows[number % 3] + jitter[0], 8 - left + columns[number % 3] + jitter[1]
        centred.append(np.roll(image, moved, (0, 1)))
    return np.stack(centred)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "prepared"
    return PreparedDataset(write_dataset(folder, corners(300), corners(30), classes=3, pairs="inpainting"))


def gan_of(config):
    classes = 3 if config.conditional == "on" else 0
    return Gan(config, (16, 16, 1), classes)


@BOTH
def test_a_resumed_training_gives_the_same_weights(images, tmp_path, changes):
    def train(folder, hooks):
        config = small_training(**changes)
        with Checkpoints(tmp_path / folder, 1) as checkpoints:
            training = Training(gan_of(config), RealBatches(images.split("train"), config), checkpoints)
            training.resume()
            return training, training.run(hooks)

    whole, finished = train("whole", StopRequest())
    assert finished
    assert not train("broken", StopRequest(stop_after=104))[1]
    resumed, finished = train("broken", StopRequest())
    assert finished
    ours, theirs = resumed.gan.state(), whole.gan.state()
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    np.testing.assert_array_equal(resumed.samples.grid(), whole.samples.grid())


def test_labels_determine_the_class_and_latents_vary_the_images(images):
    changes = {"steps": 400, "batch_size": 16, "generator_width": 16, "discriminator_width": 16, "learning_rate": 0.001}
    config = small_training(conditional=True, **changes)
    gan, batches = gan_of(config), RealBatches(images.split("train"), config)
    step = TrainStep(gan)
    for _ in range(config.steps):
        step(batches.batches(gan.images_seen, 1))
    labels = (np.arange(60) % 3).astype(np.int32)
    drawn = gan.sample(draw_latents(60, config.latent_size, 0), labels)
    light = (drawn[..., 0] + 1) / (drawn[..., 0] + 1).sum(axis=(1, 2), keepdims=True)
    rows = light.sum(axis=2) @ np.arange(16)
    columns = light.sum(axis=1) @ np.arange(16)
    found = np.where(rows < 8, 0, np.where(columns < 8, 1, 2))
    assert (found == labels).mean() > 0.95
    known = images.split("train").images(np.arange(60)) / np.float32(255)
    assert 0.5 < relative_diversity(drawn / 2, mean_pairwise_distance(known, labels), labels) < 1.5


def test_a_paired_generator_approaches_its_targets(images):
    changes = {"steps": 150, "batch_size": 16, "generator_width": 16, "learning_rate": 0.001}
    config = small_training(network="unet", reconstruction="l1", reconstruction_weight=100.0, **changes)
    gan, batches = gan_of(config), RealBatches(images.split("train"), config)
    held_out, every = images.split("held_out"), np.arange(30)
    inputs, targets = (part(every) / np.float32(127.5) - 1 for part in (held_out.inputs, held_out.images))

    def distance():
        return float(np.abs(gan.sample(draw_latents(30, config.latent_size, 0), inputs) - targets).mean())

    untrained = distance()
    step = TrainStep(gan)
    for _ in range(config.steps):
        step(batches.batches(gan.images_seen, 1))
    assert distance() < 0.5 * float(np.abs(inputs - targets).mean()) < untrained


def test_a_grid_shows_every_class_or_inputs_samples_and_targets(images, tmp_path):
    def training(**changes):
        config = small_training(**changes)
        return Training(gan_of(config), RealBatches(images.split("train"), config), None)

    conditional = training(conditional=True)
    assert conditional.samples.columns == 8
    samples = conditional.samples.grid()
    assert samples.shape == (24, 16, 16, 1)
    latents = draw_latents(24, conditional.config.latent_size, 0)
    np.testing.assert_allclose(
        samples[17:] / 127.5 - 1, conditional.gan.sample(latents[5::3], np.full(7, 2, np.int32)), atol=0.01
    )
    paired = training(network="unet")
    shown = paired.samples.grid()
    assert shown.shape == (64, 16, 48, 1)
    indices = RealBatches(images.split("train"), paired.config).order.indices(0, 64)
    np.testing.assert_array_equal(shown[:, :, :16], images.split("train").inputs(indices))
    np.testing.assert_array_equal(shown[:, :, 32:], images.split("train").images(indices))
