import json
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from generators import generator_metadata
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.errors import InvalidInput
from gan_core.export import (
    Generator,
    draw_labels,
    draw_latents,
    load_generator,
    read_metadata,
    save_generator,
    to_uint8,
)
from gan_core.networks import r3gan
from gan_core.networks.dcgan import build_generator

ARCHITECTURE = {"latent_size": 4, "width": 4, "growth": 8, "depth": 1, "classes": 0, "seed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    metadata = generator_metadata(
        shape=(16, 16, 3),
        images_seen=640,
        parameters={"seed": 3, "loss": "minimax", "learning_rate": 0.5},
        versions={"keras": keras.__version__},
    )
    folder = tmp_path_factory.mktemp("export") / "generator"
    save_generator(folder, build_generator((16, 16, 3), **ARCHITECTURE), metadata)
    return folder


def test_a_generator_comes_back_with_its_metadata_and_images(folder):
    generator = load_generator(folder)
    assert generator.metadata.parameters == {"seed": 3, "loss": "minimax", "learning_rate": 0.5}
    assert generator.metadata.shape == (16, 16, 3)
    original = build_generator((16, 16, 3), **ARCHITECTURE)
    expected = to_uint8(original(draw_latents(5, 4, seed=9)).numpy())
    np.testing.assert_array_equal(generator.sample(5, seed=9), expected)


def test_the_same_weights_are_the_same_bytes_at_any_time(folder, tmp_path):
    time.sleep(2)  # times in a zip file have this resolution
    again = tmp_path / "again"
    generator = load_generator(folder)
    save_generator(again, generator.model, generator.metadata)
    for name in ("generator.keras", "generator.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert sorted(path.name for path in again.iterdir()) == ["generator.json", "generator.keras"]


def test_samples_do_not_depend_on_the_batch_size_or_on_how_many_follow(folder):
    generator = load_generator(folder)
    images = generator.sample(7, seed=1)
    assert images.shape == (7, 16, 16, 3)
    assert images.dtype == np.uint8
    np.testing.assert_allclose(generator.sample(7, seed=1, batch_size=2), images, atol=1)
    np.testing.assert_allclose(generator.sample(3, seed=1), images[:3], atol=1)
    assert np.abs(generator.sample(7, seed=2).astype(int) - images).max() > 1


def test_latents_are_normal_and_scaled_by_the_truncation():
    latents = draw_latents(20_000, 4, seed=0)
    assert abs(latents.mean()) < 0.02
    assert abs(latents.std() - 1) < 0.02
    np.testing.assert_array_equal(draw_latents(20_000, 4, seed=0, truncation=0.5), 0.5 * latents)
    np.testing.assert_array_equal(draw_latents(10, 4, seed=0), latents[:10])


def test_labels_are_drawn_with_the_shares_and_the_first_stay_the_same():
    shares = (0.5, 0.0, 0.3, 0.2)
    labels = draw_labels(20_000, shares, seed=4)
    assert labels.dtype == np.int32
    np.testing.assert_allclose(np.bincount(labels, minlength=4) / 20_000, shares, atol=0.015)
    np.testing.assert_array_equal(draw_labels(10, shares, seed=4), labels[:10])
    assert np.any(draw_labels(10, shares, seed=5) != labels[:10])
    latents = draw_latents(20_000, 1, seed=4)[:, 0]
    assert abs(np.corrcoef(labels, latents)[0, 1]) < 0.03
    assert set(draw_labels(50, (1.0,), seed=0)) == {0}


@pytest.fixture
def conditional(folder):
    """A generator of three classes."""
    metadata = read_metadata(folder).model_copy(update={"classes": ("a", "b", "c"), "class_shares": (0.2, 0.3, 0.5)})
    return Generator(build_generator((16, 16, 3), **{**ARCHITECTURE, "classes": 3}), metadata)


def test_a_conditional_generators_labels_do_not_depend_on_the_batch_size(conditional):
    images = conditional.sample(9, seed=1)
    np.testing.assert_allclose(conditional.sample(9, seed=1, batch_size=2), images, atol=1)
    np.testing.assert_allclose(conditional.sample(4, seed=1), images[:4], atol=1)
    labels = draw_labels(9, (0.2, 0.3, 0.5), seed=1)
    np.testing.assert_array_equal(conditional.draw(draw_latents(9, 4, seed=1), labels), images)
    asked = conditional.sample(9, seed=1, conditions=labels.__getitem__, batch_size=4)
    np.testing.assert_allclose(asked, images, atol=1)
    others = conditional.sample(9, seed=1, conditions=((labels + 1) % 3).__getitem__)
    assert (np.abs(others.astype(int) - images).max(axis=(1, 2, 3)) > 1).all()


def test_a_paired_generator_is_shown_inputs_as_the_networks_are(folder):
    metadata = read_metadata(folder).model_copy(update={"paired": True})
    shown = []

    def show(latents, inputs):
        shown.append((latents, inputs))
        return inputs

    generator = Generator(lambda arguments, training: tf.numpy_function(show, arguments, tf.float32), metadata)
    inputs = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(generator.sample(5, 2, conditions=inputs.__getitem__, batch_size=2), inputs)
    np.testing.assert_array_equal(np.concatenate([latents for latents, _ in shown]), draw_latents(5, 4, 2))
    assert shown[0][1].dtype == np.float32
    assert -1 <= shown[0][1].min() < -0.9
    assert 0.9 < shown[0][1].max() <= 1
    with pytest.raises(InvalidInput, match="needs input images"):
        generator.sample(5, 2)


@settings(deadline=None)
@given(st.integers(0, 255))
def test_grey_levels_survive_the_way_to_the_networks_and_back(level):
    assert to_uint8(np.array([np.float32(level) / np.float32(127.5) - 1]))[0] == level


def test_values_outside_are_clipped():
    np.testing.assert_array_equal(to_uint8(np.array([-1.1, -1.0, 1.0, 1.1], np.float32)), [0, 0, 255, 255])


def test_what_is_no_generator_is_refused(folder, tmp_path):
    with pytest.raises(InvalidInput, match=r"A generator is a folder with generator\.json"):
        read_metadata(tmp_path)
    content = json.loads((folder / "generator.json").read_text())
    (tmp_path / "generator.json").write_text(json.dumps({**content, "latent_size": "many"}))
    with pytest.raises(InvalidInput, match=r"generator\.json is not valid: latent_size: "):
        read_metadata(tmp_path)
    for wrong in ({"classes": ["a"]}, {"classes": ["a", "b"], "class_shares": [1.5, -0.5]}, {"class_shares": [1.0]}):
        (tmp_path / "generator.json").write_text(json.dumps({**content, **wrong}))
        with pytest.raises(InvalidInput, match="class_shares must hold a share for each of classes"):
            read_metadata(tmp_path)
    both = {"classes": ["a"], "class_shares": [1.0], "paired": True}
    (tmp_path / "generator.json").write_text(json.dumps({**content, **both}))
    with pytest.raises(InvalidInput, match="a paired generator has no classes"):
        read_metadata(tmp_path)
    (tmp_path / "generator.json").write_text(json.dumps(content))
    (tmp_path / "generator.keras").write_bytes((folder / "generator.keras").read_bytes()[:1000])
    with pytest.raises(InvalidInput, match=r"generator\.keras must be a Keras model file"):
        load_generator(tmp_path)


def test_a_generator_with_a_layer_of_ours_is_loaded_where_nothing_was_imported(folder, tmp_path, monkeypatch):
    generator = r3gan.build_generator((16, 16, 3), **ARCHITECTURE)
    save_generator(tmp_path / "generator", generator, read_metadata(folder))
    expected = to_uint8(generator(draw_latents(5, 4, seed=9)).numpy())
    # As in a new process, where Keras does not know the layer.
    monkeypatch.delitem(sys.modules, "gan_core.networks.grouped")
    monkeypatch.delitem(keras.saving.get_custom_objects(), "gan_core>GroupedConv2D")
    np.testing.assert_array_equal(load_generator(tmp_path / "generator").sample(5, seed=9), expected)
