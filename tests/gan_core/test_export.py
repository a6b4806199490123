import json
import sys
import time

import keras
import numpy as np
import pytest
from generators import generator_metadata

from gan_core.errors import InvalidInput
from gan_core.export import load_generator, read_metadata, save_generator
from gan_core.networks import r3gan
from gan_core.networks.dcgan import build_generator
from gan_core.representation import to_arrays
from gan_core.sampling import draw_latents

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


def test_a_saved_generator_is_loaded_with_its_metadata_and_images(folder):
    generator = load_generator(str(folder))
    assert generator.metadata.parameters == {"seed": 3, "loss": "minimax", "learning_rate": 0.5}
    assert generator.metadata.shape == (16, 16, 3)
    original = build_generator((16, 16, 3), **ARCHITECTURE)
    expected = to_arrays(original(draw_latents(5, 4, seed=9)).numpy(), 0)
    np.testing.assert_array_equal(generator.sample(5, seed=9), expected)


def test_the_same_weights_give_the_same_bytes_at_any_time(folder, tmp_path):
    time.sleep(2)  # times in a zip file have this resolution
    again = tmp_path / "again"
    generator = load_generator(folder)
    save_generator(again, generator.model, generator.metadata)
    for name in ("generator.keras", "generator.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert sorted(path.name for path in again.iterdir()) == ["generator.json", "generator.keras"]


def test_an_invalid_generator_is_refused(folder, tmp_path):
    with pytest.raises(InvalidInput, match=r"A generator is a folder with generator\.json"):
        read_metadata(tmp_path)
    content = json.loads((folder / "generator.json").read_text())
    (tmp_path / "generator.json").write_text(json.dumps({**content, "latent_size": "many"}))
    with pytest.raises(InvalidInput, match=r"generator\.json is not valid: latent_size: "):
        read_metadata(tmp_path)
    for wrong in ({"classes": ["a"]}, {"classes": ["a", "b"], "class_shares": [1.5, -0.5]}, {"class_shares": [1.0]}):
        (tmp_path / "generator.json").write_text(json.dumps({**content, **wrong}))
        with pytest.raises(InvalidInput, match="class_shares must hold one share for each class"):
            read_metadata(tmp_path)
    both = {"classes": ["a"], "class_shares": [1.0], "paired": True}
    (tmp_path / "generator.json").write_text(json.dumps({**content, **both}))
    with pytest.raises(InvalidInput, match="a paired generator has no classes"):
        read_metadata(tmp_path)
    (tmp_path / "generator.json").write_text(json.dumps(content))
    (tmp_path / "generator.keras").write_bytes((folder / "generator.keras").read_bytes()[:1000])
    with pytest.raises(InvalidInput, match=r"generator\.keras must be a Keras model file"):
        load_generator(tmp_path)


def test_a_generator_with_our_own_layer_is_loaded_in_a_new_process(folder, tmp_path, monkeypatch):
    generator = r3gan.build_generator((16, 16, 3), **ARCHITECTURE)
    save_generator(tmp_path / "generator", generator, read_metadata(folder))
    expected = to_arrays(generator(draw_latents(5, 4, seed=9)).numpy(), 0)
    # In a new process Keras does not know the layer.
    monkeypatch.delitem(sys.modules, "gan_core.networks.grouped")
    monkeypatch.delitem(keras.saving.get_custom_objects(), "gan_core>GroupedConv2D")
    np.testing.assert_array_equal(load_generator(tmp_path / "generator").sample(5, seed=9), expected)
