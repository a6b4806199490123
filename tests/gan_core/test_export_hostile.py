"""Hostile model files cannot run code, read other files or fill the memory."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from generators import generator_metadata

from gan_core.errors import InvalidInput
from gan_core.export import load_generator, save_generator
from gan_core.output_files import METADATA_FILE, MODEL_FILE

Change = Callable[[dict[str, bytes], Path], None]


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    metadata = generator_metadata(shape=(2, 2, 1), images_seen=1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), keras.layers.Reshape((2, 2, 1))])
    folder = tmp_path_factory.mktemp("honest") / "generator"
    save_generator(folder, model, metadata)
    return folder


def write_changed(valid: Path, folder: Path, change: Change, compression: int = zipfile.ZIP_STORED) -> Path:
    """Writes a generator whose Keras file has changed members."""
    folder.mkdir()
    shutil.copy(valid / METADATA_FILE, folder)
    with zipfile.ZipFile(valid / MODEL_FILE) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members, folder)
    with zipfile.ZipFile(folder / MODEL_FILE, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return folder


def second_layer(layer: dict[str, Any]) -> Change:
    """Returns a change that replaces the model's second layer by `layer`."""

    def change(members: dict[str, bytes], folder: Path) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][1] = layer
        members["config.json"] = json.dumps(config).encode()

    return change


def lambda_layer() -> dict[str, Any]:
    """Returns the configuration of a layer that writes a file when it is built."""
    layer = keras.layers.Lambda(lambda x: (open("trace", "w").close(), x)[1])
    return json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))


def test_a_copy_without_changes_is_loaded(valid: Path, tmp_path: Path) -> None:
    """If this failed, the refusals below would prove nothing."""
    assert load_generator(write_changed(valid, tmp_path / "same", lambda *_: None)).sample(1, seed=0).shape == (
        1,
        2,
        2,
        1,
    )


@pytest.mark.parametrize(
    "layer",
    [
        lambda_layer(),
        {"module": "os", "class_name": "system", "config": {"command": "touch trace"}, "registered_name": None},
        {"module": "builtins", "class_name": "exec", "config": "open('trace', 'w')", "registered_name": None},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", "trace"]}},
        {
            "module": "keras.src.utils.file_utils",
            "class_name": "get_file",
            "config": {"fname": "trace", "origin": "file:///etc/passwd"},
        },
        {
            "module": "keras.layers",
            "class_name": "TFSMLayer",
            "config": {"filepath": "trace", "call_endpoint": "serve", "name": "t"},
        },
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {
                "units": 4,
                "activation": {"class_name": "function", "config": "system", "module": "os", "registered_name": "x"},
            },
        },
    ],
    ids=["Lambda", "os.system", "exec", "Popen", "get_file", "TFSMLayer", "activation"],
)
def test_code_in_a_model_is_refused_and_never_runs(
    valid: Path, tmp_path: Path, layer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_changed(valid, tmp_path / "hostile", second_layer(layer))
    with pytest.raises(InvalidInput, match=rf"{MODEL_FILE} must be a Keras model file"):
        load_generator(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["hostile"]


def test_the_same_code_runs_without_safe_mode(valid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this failed, the test above would prove nothing."""
    monkeypatch.chdir(tmp_path)
    folder = write_changed(valid, tmp_path / "hostile", second_layer(lambda_layer()))
    keras.models.load_model(folder / MODEL_FILE, compile=False, safe_mode=False)
    assert Path("trace").exists()


def test_metadata_that_is_not_text_is_refused(valid: Path, tmp_path: Path) -> None:
    shutil.copytree(valid, tmp_path / "generator")
    (tmp_path / "generator" / METADATA_FILE).write_bytes(b'{"format": "\xff"}')
    with pytest.raises(InvalidInput, match=f"{METADATA_FILE} is not valid"):
        load_generator(tmp_path / "generator")


@pytest.mark.parametrize(("name", "value"), [("latent_size", 5), ("shape", [8, 8, 1])])
def test_metadata_of_another_model_is_refused(valid: Path, tmp_path: Path, name: str, value: object) -> None:
    folder = write_changed(valid, tmp_path / "changed", lambda members, folder: None)
    described = json.loads((folder / METADATA_FILE).read_text())
    (folder / METADATA_FILE).write_text(json.dumps({**described, name: value}))
    with pytest.raises(InvalidInput, match=rf"must have the inputs and output that {METADATA_FILE} describes"):
        load_generator(folder)


@pytest.mark.parametrize("change", [{"images_seen": -5}, {"classes": ["cat", "cat"], "class_shares": [0.5, 0.5]}])
def test_impossible_metadata_is_refused(valid: Path, tmp_path: Path, change: dict[str, object]) -> None:
    shutil.copytree(valid, tmp_path / "generator")
    described = json.loads((valid / METADATA_FILE).read_text())
    (tmp_path / "generator" / METADATA_FILE).write_text(json.dumps(described | change))
    with pytest.raises(InvalidInput, match=f"{METADATA_FILE} is not valid"):
        load_generator(tmp_path / "generator")


def test_a_bomb_is_refused_before_it_is_unpacked(valid: Path, tmp_path: Path) -> None:
    def change(members: dict[str, bytes], folder: Path) -> None:
        members["model.weights.h5"] = bytes(2**26)

    folder = write_changed(valid, tmp_path / "bomb", change, zipfile.ZIP_DEFLATED)
    assert (folder / MODEL_FILE).stat().st_size < 2**17
    with pytest.raises(InvalidInput, match="its members must be stored uncompressed"):
        load_generator(folder)


def edit_weights(edit: Callable[[h5py.File, str], None]) -> Change:
    """Returns a change of the weights' file. `edit` gets the open file and the name of its array of shape [4, 4]."""

    def change(members: dict[str, bytes], folder: Path) -> None:
        path = folder / "weights.h5"
        path.write_bytes(members["model.weights.h5"])
        with h5py.File(path, "r+") as file:
            found: list[str] = []
            file.visititems(lambda name, item: found.append(name) if getattr(item, "shape", None) == (4, 4) else None)
            edit(file, found[0])
        members["model.weights.h5"] = path.read_bytes()

    return change


def test_weights_in_another_file_are_not_read(valid: Path, tmp_path: Path) -> None:
    """HDF5 files can refer to arrays and numbers in other files."""
    numbers, other = tmp_path / "numbers", tmp_path / "other.h5"
    numbers.write_bytes(np.float32([7] * 16).tobytes())
    with h5py.File(other, "w") as file:
        file["x"] = np.float32([[7] * 4] * 4)

    def external(file: h5py.File, name: str) -> None:
        del file[name]
        file.create_dataset(name, (4, 4), np.float32, external=[(str(numbers), 0, 64)])

    def linked(file: h5py.File, name: str) -> None:
        del file[name]
        file[name] = h5py.ExternalLink(str(other), "x")

    with pytest.raises(InvalidInput, match="external"):
        load_generator(write_changed(valid, tmp_path / "external", edit_weights(external)))
    with pytest.raises(InvalidInput, match="must be a Keras model file"):
        load_generator(write_changed(valid, tmp_path / "linked", edit_weights(linked)))


def _replace_array(**how: Any) -> Change:
    def edit(file: h5py.File, name: str) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return edit_weights(edit)


@pytest.mark.parametrize(
    "change",
    [
        _replace_array(shape=(2**20, 2**10), dtype=np.float32),
        _replace_array(shape=(2**20, 2**10), dtype=np.float32, chunks=(2**10, 2**10)),
        _replace_array(data=np.zeros((2**10, 2**10), np.float32), compression="gzip"),
        edit_weights(lambda file, _: file.create_dataset("another", (2**20, 2**10), np.float32)),
    ],
    ids=["never written", "never written in chunks", "compressed", "in another array"],
)
def test_weights_larger_than_their_file_are_refused_before_they_are_read(
    valid: Path, tmp_path: Path, change: Change
) -> None:
    """Otherwise a few kilobytes of HDF5 could fill gigabytes of memory."""
    folder = write_changed(valid, tmp_path / "bomb", change)
    assert (folder / MODEL_FILE).stat().st_size < 2**17
    with pytest.raises(InvalidInput, match="its arrays declare"):
        load_generator(folder)


def test_weights_that_are_not_numbers_are_refused(valid: Path, tmp_path: Path) -> None:
    change = _replace_array(data=["long" * 1000] * 4, dtype=h5py.string_dtype())
    with pytest.raises(InvalidInput, match="must hold numbers"):
        load_generator(write_changed(valid, tmp_path / "texts", change))


def network(name: str) -> keras.Model:
    """Returns a network that cannot be a generator."""
    latents = keras.Input((4,))
    images = keras.layers.Reshape((2, 2, 1))(latents)
    if name == "texts":
        latents = keras.Input((4,), dtype="string")
        images = keras.layers.Reshape((2, 2, 1))(latents)
    return {
        "two outputs": lambda: keras.Model(latents, [images, images]),
        "named outputs": lambda: keras.Model(latents, {"images": images}),
        "another input": lambda: keras.Model([latents, other := keras.Input((2, 2, 1))], images + other),
        "whole numbers": lambda: keras.Model(latents, keras.ops.cast(images, "int32")),
        "texts": lambda: keras.Model(latents, images),
        "two of one": lambda: keras.Model(latents, keras.ops.concatenate([images, images], axis=0)),
        "one of all": lambda: keras.Model(latents, keras.ops.reshape(keras.ops.mean(images, axis=0), (-1, 2, 2, 1))),
    }[name]()


@pytest.mark.parametrize(
    "name", ["two outputs", "named outputs", "another input", "whole numbers", "texts", "two of one", "one of all"]
)
def test_a_network_with_other_inputs_or_outputs_is_refused(valid: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "generator"
    save_generator(folder, network(name), generator_metadata(shape=(2, 2, 1), images_seen=1))
    with pytest.raises(InvalidInput, match="Received"):
        load_generator(folder).sample(2, seed=0)


@pytest.mark.parametrize("file", [METADATA_FILE, MODEL_FILE])
@pytest.mark.parametrize("target", ["/dev/zero", "pipe"])
def test_a_device_or_a_pipe_is_not_read(valid: Path, tmp_path: Path, file: str, target: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    folder = shutil.copytree(valid, tmp_path / "generator")
    (folder / file).unlink()
    (folder / file).symlink_to(tmp_path / target)
    with pytest.raises(InvalidInput, match="Not a regular file"):
        load_generator(folder)


def test_metadata_has_a_size_limit(valid: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(valid, tmp_path / "generator")
    os.truncate(folder / METADATA_FILE, 2**40)
    with pytest.raises(InvalidInput, match=f"{2**40} bytes, more than the limit"):
        load_generator(folder)


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped-by-the-test"])
def test_members_with_paths_outside_the_archive_are_not_written(valid: Path, tmp_path: Path, name: str) -> None:
    def change(members: dict[str, bytes], folder: Path) -> None:
        members[name] = b"escaped"
        members[f"assets/{name}"] = b"escaped"

    (tmp_path / "a" / "b").mkdir(parents=True)
    folder = write_changed(valid, tmp_path / "a" / "b" / "c", change)
    with pytest.raises(InvalidInput, match="its members must be"):
        load_generator(folder)
    assert not list(tmp_path.rglob("escaped*"))
    assert not Path("/tmp/escaped-by-the-test").exists()
