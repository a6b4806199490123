import numpy as np
import tensorflow as tf

from gan_core.representation import network_shape, to_arrays, to_network, to_network_tensor


def test_every_level_and_every_code_comes_back():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaled = to_network(levels, 0)
    assert (scaled.dtype, scaled.min(), scaled.max()) == (np.float32, -1, 1)
    np.testing.assert_array_equal(to_arrays(scaled, 0), levels)
    codes = np.arange(256, dtype=np.uint8).reshape(8, 32, 1, 1)
    vectors = to_network(codes, 256)
    assert vectors.shape == (8, *network_shape((32, 1, 1), 256))
    np.testing.assert_array_equal(vectors.sum(axis=-1), 1)
    np.testing.assert_array_equal(to_arrays(vectors, 256), codes)


def test_levels_outside_the_range_are_clipped_and_the_most_probable_code_is_taken():
    np.testing.assert_array_equal(to_arrays(np.array([-1.1, -1.0, 1.0, 1.1], np.float32), 0), [0, 0, 255, 255])
    np.testing.assert_array_equal(to_arrays(np.array([[0.1, 0.6, 0.3], [0.5, 0.0, 0.5]]), 3), [[1], [0]])


def test_a_code_that_is_no_symbol_gives_zeros():
    np.testing.assert_array_equal(to_network(np.array([[[[5]]]], np.uint8), 3), np.zeros((1, 1, 1, 3)))


def test_tensors_get_the_same_numbers():
    arrays = np.random.default_rng(0).integers(0, 256, (4, 7, 1, 1)).astype(np.uint8)
    for symbols in (0, 3, 200):
        tensor = to_network_tensor(tf.constant(arrays), symbols)
        assert tensor.dtype == tf.float32
        np.testing.assert_array_equal(tensor, to_network(arrays, symbols))
