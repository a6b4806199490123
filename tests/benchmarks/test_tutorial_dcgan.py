import numpy as np
from recipes import small_training

from benchmarks import tutorial_dcgan
from benchmarks.described_network import TUTORIAL, describe
from benchmarks.recorder import Recorder


def test_the_networks_have_as_many_numbers_as_the_tutorials():
    assert tutorial_dcgan.build_generator().count_params() == 2_330_944
    assert tutorial_dcgan.build_discriminator().count_params() == 212_865


def test_a_training_draws_samples_from_new_weights(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    recorder = Recorder(tmp_path, (0.0, 0.001), count=2, latent_size=tutorial_dcgan.LATENT_SIZE, classes=1, seed=0)
    tutorial_dcgan.train(images, {"batch_size": 2, "learning_rate": 0.01}, 0, recorder)
    assert recorder.rows[-1]["moment"] == 0.001
    assert np.load(tmp_path / "0.001.npy").shape == (2, 28, 28, 1)


def test_operations_of_the_tutorials_network():
    generator = [100 * 7 * 7 * 256, 49 * 25 * 256 * 128, 49 * 25 * 128 * 64, 196 * 25 * 64]
    discriminator = [196 * 25 * 64, 49 * 25 * 64 * 128, 49 * 128]
    forward = 1 * sum(generator) + 3 * sum(discriminator)
    by_weights = 1 * sum(generator) + 2 * sum(discriminator)
    by_inputs = sum(generator[1:]) + 2 * sum(discriminator[1:]) + sum(discriminator)
    assert TUTORIAL.operations_per_image() == 2 * (forward + by_weights + by_inputs)


def test_a_recipe_is_described_or_left_alone():
    network = describe(small_training(generator_width=8, discriminator_width=4), (28, 28, 1), 10)
    assert (network.base, network.first, network.resolution) == (7, 16, 28)
    assert network.generator == ((8, 4, 2), (1, 4, 2))
    assert network.discriminator == ((4, 4, 2), (8, 4, 2))
    assert network.classes == 10
    assert describe(small_training(augment=["color"], augment_probability=0.5), (28, 28, 1), 0) is None
    assert describe(small_training(), (16, 16, 3), 0) is None
    assert describe(small_training(depth=2), (28, 28, 1), 0) is None
