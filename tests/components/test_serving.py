"""The registered model: in this process, behind `mlflow models serve`, and in an environment of its own."""

from __future__ import annotations

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

from components.command import configure_tensorflow
from components.model_package import save_served_model
from gan_core.export import GeneratorMetadata, draw_latents, load_generator, read_metadata, save_generator

UV = shutil.which("uv")

pytestmark = [
    # MLflow's own modules, while they are imported and when they look at an input example.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small generator, `generator`, and the same as an MLflow model, `model`."""
    configure_tensorflow()
    import keras

    root = tmp_path_factory.mktemp("served")
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,)), keras.layers.Dense(8 * 8 * 3, activation="tanh"), keras.layers.Reshape((8, 8, 3))]
    metadata = GeneratorMetadata(
        format=1,
        latent_size=4,
        shape=(8, 8, 3),
        classes=(),
        images_seen=64,
        collapsed=False,
        dataset_digest=f"sha256-{'0' * 64}",
        dataset_source="synthetic",
        parameters={},
        tracking_run_id=None,
        versions={},
    )
    save_generator(root / "generator", keras.Sequential(layers), metadata)
    save_served_model(root / "model", root / "generator", read_metadata(root / "generator"))
    return root


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of `mlflow models serve` with the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder / "model")]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    # The server starts `uvicorn` by name.
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


def request(address: str, *records: dict[str, Any]) -> tuple[int, Any]:
    body = json.dumps({"dataframe_records": records}).encode()
    call = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_server_draws_the_generators_images(folder: Path, server: str) -> None:
    expected = load_generator(folder / "generator").sample(3, seed=7, truncation=0.5)
    status, answer = request(server, {"count": 3, "seed": 7, "truncation": 0.5})
    assert status == 200
    np.testing.assert_array_equal(np.array(answer["predictions"]), expected)


def test_the_server_decodes_latents_to_the_same_images(folder: Path, server: str) -> None:
    expected = load_generator(folder / "generator").sample(2, seed=7)
    status, answer = request(server, *({"latents": latents.tolist()} for latents in draw_latents(2, 4, seed=7)))
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
        ([{"latents": [0.0] * 3}], "Each row of 'latents' must hold 4 numbers. Received: a row of shape (3,)"),
        ([{"latents": [1e300] * 4}], "'latents' must be finite."),
        ([{"latents": [0.0] * 4}] * 1025, "A request has from 1 to 1024 rows. Received: 1025"),
    ],
)
def test_a_bad_request_is_refused_with_the_rule(server: str, records: list[dict[str, Any]], rule: str) -> None:
    status, answer = request(server, *records)
    assert status == 400
    assert rule in answer["message"]


def test_a_link_in_the_generators_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(folder / "generator", tmp_path / "generator"))
    (tmp_path / "token").write_text("hunter2")
    (model / "preview.png").symlink_to(tmp_path / "token")
    save_served_model(tmp_path / "served", model, read_metadata(model))
    kept = [path for path in (tmp_path / "served").rglob("*") if path.is_file()]
    assert {path.name for path in kept if "artifacts" in path.parts} == {"generator.json", "generator.keras"}
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]


def test_the_model_holds_no_pickle(folder: Path) -> None:
    names = [path.name for path in (folder / "model").rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]
    assert {"served_generator.py", "generator.keras", "requirements.txt", "input_example.json"} <= set(names)


@pytest.mark.slow
@pytest.mark.skipif(UV is None, reason="uv is not installed")
def test_an_environment_of_the_models_own_requirements_draws_the_same_images(folder: Path, tmp_path: Path) -> None:
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
    # TensorFlow may choose other kernels there: grey levels differ by one at most.
    expected = load_generator(folder / "generator").sample(3, seed=7)
    assert np.abs(drawn.astype(int) - expected).max() <= 1
