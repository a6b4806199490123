import numpy as np
import pytest
import tensorflow as tf
from recipes import small_training

from gan_core.networks.build import build_discriminator, build_generator, dtype_policy

OPTIONS = {"synchronized": False, "dtype": "float32"}
PAIRED = {"network": "unet", "reconstruction": "l1", "reconstruction_weight": 1.0}


def test_a_paired_discriminator_takes_the_image_and_its_input():
    discriminator = build_discriminator(small_training(**PAIRED), (16, 16, 3), 0, **OPTIONS)
    assert discriminator(tf.zeros((2, 16, 16, 6)), None, None).shape == (2,)


def test_the_seeds_of_all_networks_differ():
    kernels = [
        network.weights[0].numpy().ravel()[:8]
        for seed in (0, 1)
        for config in [small_training(seed=seed)]
        for network in (
            build_generator(config, (16, 16, 1), 0, **OPTIONS),
            build_discriminator(config, (16, 16, 1), 0, **OPTIONS),
        )
    ]
    assert len({tuple(kernel) for kernel in kernels}) == 4
    again = build_generator(small_training(seed=1), (16, 16, 1), 0, **OPTIONS).weights[0].numpy().ravel()[:8]
    np.testing.assert_array_equal(again, kernels[2])


@pytest.mark.parametrize(
    ("network", "mixed_precision", "policy"),
    [
        ("dcgan", False, "float32"),
        ("dcgan", True, "mixed_float16"),
        ("r3gan", False, "float32"),
        ("r3gan", True, "mixed_bfloat16"),
    ],
)
def test_only_a_network_without_normalisation_needs_the_range_of_bfloat16(network, mixed_precision, policy):
    config = small_training(network=network, normalization="none")
    assert dtype_policy(config, mixed_precision=mixed_precision) == policy
