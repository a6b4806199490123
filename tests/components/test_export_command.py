"""The command export: every network in every format, as the formats' own runtimes run it, and the refusals."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from generators import generator_metadata, untrained_generator
from modalities import EXAMPLES

from components import export
from components.cli.tensorflow_settings import configure_tensorflow
from components.exporting.formats import FORMATS
from gan_core.errors import InvalidInput, TryAgain, failure_of
from gan_core.export import load_generator, save_generator
from gan_core.generator import Generator
from gan_core.representation import to_arrays

IMAGE, AUDIO, TEXT = EXAMPLES
R3GAN = {"network": "r3gan", "normalization": "none", "loss": "relativistic"}
UNET = {"network": "unet", "reconstruction": "l1", "reconstruction_weight": 1.0}
CASES = {
    "dcgan": (IMAGE, {"network": "dcgan"}),
    "unconditional": (IMAGE, {"network": "dcgan", "conditional": "off"}),
    "resnet": (IMAGE, {"network": "resnet", "normalization": "spectral"}),
    "r3gan": (IMAGE, R3GAN),
    "fastgan": (IMAGE, {"network": "fastgan"}),
    "unet": (IMAGE.with_pairs("inpainting"), UNET),
    "audio": (AUDIO, AUDIO.train),
    "text": (TEXT, TEXT.train),
}


@pytest.fixture(scope="module", params=CASES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return changed_generator(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return changed_generator(tmp_path_factory.mktemp("dcgan"), "dcgan")


def changed_generator(folder: Path, case: str) -> Path:
    """Writes a generator with random weights in every layer, so that each layer and label changes the items."""
    configure_tensorflow()
    example, train = CASES[case]
    generator = load_generator(untrained_generator(example.prepared(folder), folder / "untrained", **train))
    for seed, variable in enumerate(generator.model.weights):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(variable.shape)
        variable.assign_add(np.abs(noise) if variable.name.endswith("variance") else noise)
    save_generator(folder / "generator", generator.model, generator.metadata)
    return folder / "generator"


def run(model: Path, output: Path, form: str) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["export", "--model", str(model), "--output", str(output), "--format", form])
        export.main()
    return json.loads((output / "export.json").read_text(encoding="utf-8"))


def opened(folder: Path, form: str) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Returns the exported function, as the documentation calls it."""
    if form == "saved_model":
        loaded = tf.saved_model.load(folder)
        return lambda inputs: loaded.signatures["serving_default"](**inputs)["values"].numpy()
    if form == "tflite":
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(model_path=str(folder / "generator.tflite")).get_signature_runner()
        return lambda inputs: runner(**inputs)["values"]
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "generator.onnx")
    return lambda inputs: session.run(["values"], inputs)[0]


@pytest.mark.parametrize("form", FORMATS)
def test_the_described_inputs_give_the_generators_items(model: Path, form: str, tmp_path: Path) -> None:
    record = run(model, tmp_path / "exported", form)
    found = opened(tmp_path / "exported", form)
    generator = load_generator(model)
    assert (record["digest"], record["classes"]) == (generator.digest, list(generator.metadata.classes))
    assert record["codec"]["modality"] in ("image", "audio", "text")
    assert record["digital_source_type_of_items"].endswith("/trainedAlgorithmicMedia")
    assert 0 <= record["checked"]["largest_difference"] <= record["checked"]["tolerance"] == 1e-3
    rows = 1 if form == "tflite" else 3
    assert [one["shape"][0] for one in record["inputs"]] == [1 if form == "tflite" else None] * len(record["inputs"])
    random = np.random.default_rng(5)
    for label in range(max(1, len(record["classes"]))):
        inputs, condition = {}, None
        for described in record["inputs"]:
            shape = (rows, *described["shape"][1:])
            if described["name"] == "latents":
                values = random.standard_normal(shape)
            elif described["name"] == "labels":
                condition = values = np.full(shape, label)
            else:
                condition = random.integers(0, 256, shape, np.uint8)
                values = condition / 127.5 - 1
            inputs[described["name"]] = values.astype(described["dtype"])
        values = found(inputs)
        assert (list(values.shape[1:]), str(values.dtype)) == (
            record["outputs"][0]["shape"][1:],
            record["outputs"][0]["dtype"],
        )
        symbols = 1 + len(record["codec"].get("alphabet", "")) if record["codec"]["modality"] == "text" else 0
        drawn = generator.draw(inputs["latents"], condition)
        difference = np.abs(to_arrays(values, symbols).astype(int) - drawn)
        assert difference.max() <= (0 if symbols else 1)  # rounding may change a level by one


def test_an_export_replaces_an_export_of_another_format_and_nothing_else(dcgan: Path, tmp_path: Path) -> None:
    output = tmp_path / "exported"
    for form in FORMATS:
        record = run(dcgan, output, form)
        files = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
        assert files == {"export.json", *record["files"]}
    with pytest.raises(InvalidInput, match="must be absent, an empty folder or an exported generator"):
        run(dcgan, tmp_path, "onnx")


@pytest.mark.parametrize(("error", "received"), [(0.002, "difference of 0.00"), (np.nan, "difference of nan")])
def test_other_values_leave_nothing(
    dcgan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float, received: str
) -> None:
    """The runtime's answer for one item of the last class is changed."""
    calls = itertools.count()

    def load(place: str) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
        right = FORMATS["tflite"].load(place)
        return lambda inputs: right(inputs) + (error if next(calls) == 15 else 0)

    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["tflite"], load=load))
    with pytest.raises(InvalidInput, match=rf"up to 0\.001\. Received: a {received}.* in 16 latents"):
        run(dcgan, tmp_path / "exported", "onnx")
    assert list(tmp_path.iterdir()) == []


class Igamma(keras.layers.Layer):
    """An operation that only TensorFlow has."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.math.igamma(2.0, tf.abs(inputs))


@pytest.mark.parametrize("form", FORMATS)
def test_an_operation_that_a_format_lacks_gives_one_sentence(form: str, tmp_path: Path) -> None:
    latents = keras.Input((4,), name="latents")
    images = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256)(Igamma()(latents)))
    generator = Generator(keras.Model(latents, images), generator_metadata())
    if form == "saved_model":
        export.write_export(generator, FORMATS[form], tmp_path)
        return
    with pytest.raises(
        InvalidInput, match=r"must consist of operations that (onnxruntime|ai_edge_litert) has. Received: .*Igamma"
    ):
        export.write_export(generator, FORMATS[form], tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_is_no_fault_of_the_network(dcgan: Path, tmp_path: Path, form: str) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own can only be mounted by root")
    try:
        with pytest.raises(OSError, match="No space left on device") as failure:
            run(dcgan, tmp_path / "exported", form)
        assert isinstance(failure_of(failure.value), TryAgain)
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_missing_package_gives_one_sentence(dcgan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(InvalidInput, match=r"must be installed: .* Received: no module ai_edge_litert"):
        run(dcgan, tmp_path / "exported", "tflite")


def test_an_unknown_format_is_refused(capsys: pytest.CaptureFixture[str], dcgan: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        run(dcgan, tmp_path / "exported", "coreml")
    assert end.value.code == 2
    assert "'saved_model', 'tflite', 'onnx'" in capsys.readouterr().err


def test_the_formats_of_the_option_are_those_that_are_written() -> None:
    formats = next(action for action in export.parser()._actions if action.dest == "format").choices
    assert formats == [*FORMATS]
