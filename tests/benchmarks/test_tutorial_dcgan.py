import numpy as np

from benchmarks import tutorial_dcgan
from benchmarks.recorder import Recorder


def test_the_networks_have_the_numbers_of_parameters_of_the_tutorial():
    assert tutorial_dcgan.build_generator().count_params() == 2_330_944
    assert tutorial_dcgan.build_discriminator().count_params() == 212_865


def test_a_training_draws_samples_from_new_weights(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    recorder = Recorder(tmp_path, (0.0, 0.001), count=2, latent_size=tutorial_dcgan.LATENT_SIZE, classes=1, seed=0)
    tutorial_dcgan.train(images, {"batch_size": 2, "learning_rate": 0.01}, 0, recorder)
    assert recorder.rows[-1]["moment"] == 0.001
    assert np.load(tmp_path / "0.001.npy").shape == (2, 28, 28, 1)
