"""The registered model: in this process, behind `mlflow models serve`, and in a separate environment."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators import generator_metadata
from invocations import ask
from PIL import Image

from components.cli.tensorflow_settings import configure_tensorflow
from components.registry.model_package import save_served_model
from gan_core.export import load_generator, read_metadata, save_generator
from gan_core.provenance import SOURCE_TYPE
from gan_core.sampling import draw_latents

UV = shutil.which("uv")

pytestmark = [
    # MLflow warns when its modules are imported and when it reads an input example.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small generator in `generator` and the same generator as an MLflow model in `model`."""
    configure_tensorflow()
    import keras

    root = tmp_path_factory.mktemp("served")
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,)), keras.layers.Dense(8 * 8 * 3, activation="tanh"), keras.layers.Reshape((8, 8, 3))]
    save(root, keras.Sequential(layers))
    return root


def save(root: Path, model: Any, **changes: Any) -> None:
    save_generator(root / "generator", model, generator_metadata(**({"shape": (8, 8, 3)} | changes)))
    save_served_model(root / "model", root / "generator", read_metadata(root / "generator"))


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like `folder`, with a generator of two classes."""
    configure_tensorflow()
    from gan_core.networks.dcgan import build_generator

    root = tmp_path_factory.mktemp("conditional")
    network = build_generator((16, 16, 1), latent_size=4, width=4, growth=2, depth=1, classes=2, seed=0)
    save(root, network, shape=(16, 16, 1), classes=("cat", "dog"), class_shares=(0.25, 0.75))
    return root


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like `folder`, with an image-to-image generator."""
    configure_tensorflow()
    from gan_core.networks.unet import build_generator

    root = tmp_path_factory.mktemp("paired")
    network = build_generator((16, 16, 1), latent_size=4, width=4, growth=2, seed=0)
    save(root, network, shape=(16, 16, 1), paired=True)
    return root


def answer(folder: Path, *records: dict[str, Any]) -> Any:
    """Returns the answer of the model in `folder`. Like the server, it checks the request against the signature."""
    import mlflow.pyfunc
    import pandas as pd

    return mlflow.pyfunc.load_model(str(folder / "model")).predict(pd.DataFrame(list(records)))


def invoke(model: Any, request: dict[str, Any]) -> int:
    """Returns the status of MLflow's answer to a JSON request."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    try:
        return invocations(json.dumps(request), "application/json", model, model.metadata.get_input_schema()).status
    except MlflowException as error:
        return error.get_http_status_code()


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of `mlflow models serve` with the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder / "model")]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    # The server starts `uvicorn` from the PATH.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    log = folder / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=file, start_new_session=True, env={**os.environ, "PATH": path}
        )
    address = f"http://127.0.0.1:{port}"
    try:
        while not answers(f"{address}/ping"):
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def test_the_server_draws_the_generators_images(folder: Path, server: str) -> None:
    expected = load_generator(folder / "generator").sample(3, seed=7, truncation=0.5)
    status, answer = ask(server, {"dataframe_records": [{"count": 3, "seed": 7, "truncation": 0.5}]})
    assert status == 200
    np.testing.assert_array_equal(np.array(answer["predictions"]), expected)


def test_the_server_decodes_latents_to_the_same_images(folder: Path, server: str) -> None:
    expected = load_generator(folder / "generator").sample(2, seed=7)
    status, answer = ask(
        server, {"dataframe_records": [{"latents": row.tolist()} for row in draw_latents(2, 4, seed=7)]}
    )
    assert status == 200
    np.testing.assert_array_equal(np.array(answer["predictions"]), expected)


@pytest.mark.parametrize(
    ("records", "rule"),
    [
        ([{"count": 0, "seed": 1}], "'count' must be from 1 to 1024. Received: 0"),
        ([{"count": 10**9, "seed": 1}], "'count' must be from 1 to 1024. Received: 1000000000"),
        ([{"count": 1, "seed": -1}], "'seed' must be from 0 to 2147483647. Received: -1"),
        ([{"count": 1, "seed": 1, "truncation": 1.5}], "'truncation' must be from 0 to 1. Received: 1.5"),
        ([{"count": 1}], "A request is one row of 'count', 'seed' and optionally 'truncation', or rows of 'latents'"),
        ([{"count": 1, "seed": 1}] * 2, "A request is one row of 'count'"),
        ([{"latents": [0.0] * 4, "seed": 1}], "A request is one row of 'count'"),
        ([{"latents": [0.0] * 3}], "Each row of 'latents' must hold numbers of shape (4,). Received: (3,)"),
        ([{"latents": [1e300] * 4}], "'latents' must be finite float32 numbers."),
        ([{"latents": [0.0] * 4}] * 1025, "A request must have 1 to 1024 rows. Received: 1025"),
        ([{"count": 1.5, "seed": 1}], "'count' must be a whole number. Received: 1.5"),
        ([{"count": True, "seed": 1}], "'count' must be a number. Received: True"),
        ([{"count": "2", "seed": 1}], "'count' must be a number. Received: '2'"),
        ([{"count": [2], "seed": 1}], "'count' must be a number. Received: [2]"),
        ([{"count": 10**400, "seed": 1}], "'count' must be from 1 to 1024. Received: 1000"),
        ([{"count": 1, "seed": 1.5}], "'seed' must be a whole number. Received: 1.5"),
        ([{"count": 1, "seed": False}], "'seed' must be a number. Received: False"),
        ([{"count": 1, "seed": float("nan")}], "'seed' must be a number. Received: nan"),
        ([{"count": 1, "seed": 1, "truncation": "0.5"}], "'truncation' must be a number. Received: '0.5'"),
        ([{"count": 1, "seed": 1, "truncation": float("nan")}], "'truncation' must be a number. Received: nan"),
        ([{"count": 1, "seed": 1, "truncation": float("inf")}], "'truncation' must be a number. Received: inf"),
        ([{"count": 1, "seed": 1, "truncaton": 0.5}], "A request has no column 'truncaton'."),
        ([{"count": 1, "seed": 1, "truncaton": None}], "A request has no column 'truncaton'."),
        ([{"count": 1, "seed": 1, "label": "cat"}], "A request has no column 'label'."),
        ([{"latents": ["0", 0, 0, 0]}], "must hold numbers of shape (4,). Received: str"),
        ([{"latents": [True, 0, 0, 0]}], "must hold numbers of shape (4,). Received: bool"),
        ([{"latents": [None, 0, 0, 0]}], "must hold numbers of shape (4,). Received: NoneType"),
        ([{"latents": [float("nan")] * 4}], "'latents' must be finite float32 numbers."),
        ([{"latents": 1}], "must hold numbers of shape (4,). Received: ()"),
    ],
)
def test_a_bad_request_is_refused_with_the_rule(server: str, records: list[dict[str, Any]], rule: str) -> None:
    status, answer = ask(server, {"dataframe_records": records})
    assert status == 400
    assert rule in answer["message"]


def test_every_format_of_a_request_is_accepted_and_checked(folder: Path, conditional: Path) -> None:
    import mlflow.pyfunc

    plain, classes = (mlflow.pyfunc.load_model(str(model_folder / "model")) for model_folder in (folder, conditional))
    for request in (
        {"dataframe_split": {"columns": ["count", "seed"], "data": [[2, 7]]}},
        {"dataframe_records": [{"count": 2, "seed": 7, "truncation": None}]},
        {"dataframe_records": [{"count": 2.0, "seed": 7}]},
        {"inputs": {"count": [2], "seed": [7]}},
        {"inputs": {"count": 2, "seed": 7}},
        {"inputs": [{"count": 2, "seed": 7}]},
        {"instances": [{"count": 2, "seed": 7}]},
        {"inputs": {"latents": [[0.0] * 4, [1.0] * 4]}},
    ):
        assert invoke(plain, request) == 200, request
    assert invoke(classes, {"inputs": {"count": [2], "seed": [7], "label": ["cat"]}}) == 200
    assert invoke(classes, {"inputs": {"count": 2, "seed": 7, "label": "cat"}}) == 200
    for request in (
        {"dataframe_split": {"columns": ["count", "seed", "truncaton"], "data": [[2, 7, 0.1]]}},
        {"dataframe_split": {"columns": ["count", "seed", "seed"], "data": [[2, 7, 8]]}},
        {"dataframe_split": {"data": [[2, 7]]}},
        {"inputs": {"count": [1.5], "seed": [7]}},
        {"inputs": {"count": True, "seed": 7}},
        {"inputs": {"count": [2], "seed": [7, 8]}},
        {"inputs": {"count": [2], "seed": [7], "lable": ["3"]}},
        {"inputs": [[2, 7]]},
        {"inputs": 3},
        {"instances": [{"count": 2, "seed": 1.5}]},
        {"dataframe_records": []},
    ):
        assert invoke(plain, request) == 400, request


def test_a_link_in_the_generators_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(folder / "generator", tmp_path / "generator"))
    (tmp_path / "token").write_text("hunter2")
    (model / "preview.png").symlink_to(tmp_path / "token")
    save_served_model(tmp_path / "served", model, read_metadata(model))
    kept = [path for path in (tmp_path / "served").rglob("*") if path.is_file()]
    assert {path.name for path in kept if "artifacts" in path.parts} == {"generator.json", "generator.keras"}
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]


def test_a_conditional_generator_draws_the_requested_class(conditional: Path) -> None:
    generator = load_generator(conditional / "generator")
    dogs = generator.sample(3, seed=7, conditions=lambda positions: np.ones(len(positions), np.int32))
    np.testing.assert_array_equal(answer(conditional, {"count": 3, "seed": 7, "label": "dog"}), dogs)
    assert np.any(answer(conditional, {"count": 3, "seed": 7, "label": "cat"}) != dogs)
    np.testing.assert_array_equal(answer(conditional, {"count": 9, "seed": 7}), generator.sample(9, seed=7))
    first, second, _ = draw_latents(3, 4, seed=7).tolist()
    found = answer(conditional, {"latents": first, "label": "dog"}, {"latents": second, "label": "cat"})
    np.testing.assert_array_equal(found[0], dogs[0])
    np.testing.assert_array_equal(found, generator.draw(draw_latents(3, 4, seed=7)[:2], np.array([1, 0], np.int32)))


def test_a_paired_generator_transforms_input_images(paired: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1))
    rows = [{"input": image.tolist(), "seed": seed} for image, seed in zip(images, (5, 9), strict=True)]
    latents = np.concatenate([draw_latents(1, 4, seed) for seed in (5, 9)])
    expected = load_generator(paired / "generator").draw(latents, images.astype(np.uint8))
    np.testing.assert_array_equal(answer(paired, *rows), expected)
    assert np.any(answer(paired, rows[0] | {"seed": 6}) != expected[:1])


def test_files_are_the_same_images_with_a_mark(conditional: Path, paired: Path) -> None:
    request = {"count": 3, "seed": 7, "label": "dog", "truncation": 0.5}
    files = [base64.b64decode(one["file"]) for one in answer(conditional, request | {"format": "file"})]
    images = np.stack([np.array(Image.open(io.BytesIO(file)))[:, :, None] for file in files])
    np.testing.assert_array_equal(images, answer(conditional, request | {"format": "array"}))
    digest = load_generator(conditional / "generator").digest
    for number, file in enumerate(files):
        mark = Image.open(io.BytesIO(file)).info["XML:com.adobe.xmp"]
        expected = {"DigitalSourceType": SOURCE_TYPE, "AISystemVersionUsed": digest, "number": number}
        expected |= {"seed": 7, "truncation": 0.5, "label": "dog"}
        assert [name for name, value in expected.items() if f':{name}="{value}"' not in mark] == []

    blank = np.zeros((16, 16, 1)).tolist()
    rows = [{"input": blank, "seed": seed, "format": "file"} for seed in (5, 9)]
    marks = [base64.b64decode(one["file"]) for one in answer(paired, *rows)]
    assert [f'gan:seed="{seed}"'.encode() in mark for seed, mark in zip((5, 9), marks, strict=True)] == [True, True]
    [drawn] = answer(conditional, {"latents": [0.0] * 4, "label": "cat", "format": "file"})
    assert drawn["type"] == "image/png"
    assert b'gan:seed="latents of the request"' in base64.b64decode(drawn["file"])


@pytest.mark.parametrize(
    ("model", "records", "rule"),
    [
        ("conditional", [{"count": 1, "seed": 1, "format": "png"}], "'format' must be array or file, and the same"),
        ("conditional", [{"count": 1, "seed": 1, "format": ["file"]}], "'format' must be array or file, and the same"),
        (
            "conditional",
            [{"latents": [0.0] * 4, "label": "cat", "format": one} for one in ("file", "array")],
            "the same in all rows. Received: file, array",
        ),
        ("conditional", [{"count": 1, "seed": 1, "label": "cow"}], "'label' must be one of cat, dog. Received: cow"),
        ("conditional", [{"count": 1, "seed": 1, "label": 3}], "'label' must be one of cat, dog. Received: 3"),
        ("conditional", [{"count": 1, "seed": 1, "lable": "cat"}], "A request has no column 'lable'."),
        ("paired", [{"input": [[[True]] * 16] * 16, "seed": 1}], "numbers of shape (16, 16, 1). Received: bool"),
        ("paired", [{"input": [[[0]] * 16] * 16, "seed": 1, "count": 1}], "A request has no column 'count'."),
        ("conditional", [{"latents": [0.0] * 4}], "or rows of 'latents' and 'label'. Received: 1 rows of ['latents']"),
        (
            "conditional",
            [{"latents": [0.0] * 4, "label": "cat"}, {"latents": [0.0] * 4}],
            "one of cat, dog. Received: nan",
        ),
        ("paired", [{"input": [[[0]] * 16] * 15, "seed": 1}], "numbers of shape (16, 16, 1). Received: (15, 16, 1)"),
        (
            "paired",
            [{"input": [[[0]] * 16, [[0]]], "seed": 1}],
            "shape (16, 16, 1). Received: other lengths or values",
        ),
        ("paired", [{"input": [[[256]] * 16] * 16, "seed": 1}], "grey levels from 0 to 255. Received: 256"),
        ("paired", [{"input": [[[-1]] * 16] * 16, "seed": 1}], "grey levels from 0 to 255. Received: -1"),
        ("paired", [{"input": [[[0]] * 16] * 16, "seed": -1}], "'seed' must be from 0 to 2147483647. Received: -1"),
        ("paired", [{"input": [[[0.5]] * 16] * 16, "seed": 1}], "input"),
        ("paired", [{"count": 1, "seed": 1}], "input"),
        ("paired", [{"input": [[[0]] * 16] * 16}], "seed"),
    ],
)
def test_a_bad_class_or_input_image_is_refused_with_the_rule(
    request: pytest.FixtureRequest, model: str, records: list[dict[str, Any]], rule: str
) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as refused:
        answer(request.getfixturevalue(model), *records)
    assert rule in refused.value.message
    assert refused.value.get_http_status_code() == 400


def test_the_model_holds_no_pickle(folder: Path) -> None:
    names = [path.name for path in (folder / "model").rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]
    assert {"served_generator.py", "generator.keras", "requirements.txt", "input_example.json"} <= set(names)


@pytest.mark.skipif(UV is None, reason="uv is not installed")
def test_the_model_draws_the_same_images_in_an_environment_with_its_requirements(folder: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    installed = subprocess.run(
        [UV, "pip", "install", "--python", python, "-r", folder / "model" / "requirements.txt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"the packages cannot be installed: {installed.stderr[-300:]}")
    code = (
        "import mlflow, numpy, pandas; model = mlflow.pyfunc.load_model('model');"
        "numpy.save('images.npy', model.predict(pandas.DataFrame([{'count': 3, 'seed': 7}])))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([python, "-c", code], cwd=folder, env=environment, check=True)
    drawn = np.load(folder / "images.npy")
    assert drawn.dtype == np.uint8
    # TensorFlow may choose other kernels there, so grey levels may differ by one.
    expected = load_generator(folder / "generator").sample(3, seed=7)
    assert np.abs(drawn.astype(int) - expected).max() <= 1
