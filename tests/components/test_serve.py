"""The server of the champion, over HTTP, while the champion changes."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators import generator_metadata
from invocations import ask

from components.cli.tensorflow_settings import configure_tensorflow
from components.promote import move
from components.registry.manual_decisions import ManualDecision
from components.registry.model_package import save_served_model
from components.serve import Switch, watch
from components.tracking.server import connect
from gan_core.errors import InvalidInput
from gan_core.export import load_generator, read_metadata, save_generator

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]
REQUEST = {"dataframe_records": [{"count": 2, "seed": 7}]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folders, each with a generator in `generator` and the same generator as an MLflow model in `model`."""
    configure_tensorflow()
    import keras

    folders = [tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")]
    for seed, folder in enumerate(folders):
        keras.utils.set_random_seed(seed)
        layers = [keras.Input((4,)), keras.layers.Dense(256, activation="tanh"), keras.layers.Reshape((16, 16, 1))]
        save_generator(folder / "generator", keras.Sequential(layers), generator_metadata())
        save_served_model(folder / "model", folder / "generator", read_metadata(folder / "generator"))
    return folders


@pytest.fixture
def registered(project: Path, models: list[Path]) -> Any:
    client = connect()
    client.create_registered_model("cats")
    for folder in models:
        client.create_model_version("cats", (folder / "model").as_uri())
    client.set_registered_model_alias("cats", "champion", "1")
    return client


@pytest.fixture
def address(registered: Any) -> Iterator[str]:
    """The address of a server that reads the alias every 50 ms."""
    import uvicorn

    switch, ended = Switch(registered, "cats", "champion"), threading.Event()
    server = uvicorn.Server(uvicorn.Config(switch, port=0, log_level="warning"))
    threads = [
        threading.Thread(target=server.run),
        threading.Thread(target=watch, args=[switch, 0.05, ended]),
    ]
    for thread in threads:
        thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    ended.set()
    server.should_exit = True
    for thread in threads:
        thread.join()


def test_no_request_is_lost_while_the_champion_changes(models: list[Path], registered: Any, address: str) -> None:
    first, second = (load_generator(folder / "generator").sample(2, seed=7).tolist() for folder in models)
    assert first != second
    ended, answers = threading.Event(), [[], [], []]

    def ask_repeatedly(received: list[Any]) -> None:
        while not ended.is_set():
            status, answer = ask(address, REQUEST)
            received.append((status, answer.get("predictions")))

    threads = [threading.Thread(target=ask_repeatedly, args=[received]) for received in answers]
    for thread in threads:
        thread.start()
    for version, expected in (("2", second), (None, first)):
        move("cats", version, ManualDecision("anna", "To see it change."))
        while ask(address, REQUEST)[1]["predictions"] != expected:
            time.sleep(0.02)
    ended.set()
    for thread in threads:
        thread.join()
    for received in answers:
        assert {status for status, _ in received} == {200}
        assert all(images in (first, second) for _, images in received)
        assert len(received) > 2


def test_the_previous_version_is_served_if_the_new_one_cannot_be_loaded(
    models: list[Path], registered: Any, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    registered.create_model_version("cats", "file:///nowhere")
    registered.set_registered_model_alias("cats", "champion", "3")
    while "The previous version is still served" not in caplog.text:
        time.sleep(0.02)
    expected = load_generator(models[0] / "generator").sample(2, seed=7)
    np.testing.assert_array_equal(np.array(ask(address, REQUEST)[1]["predictions"]), expected)
    registered.set_registered_model_alias("cats", "champion", "2")
    expected = load_generator(models[1] / "generator").sample(2, seed=7).tolist()
    while ask(address, REQUEST)[1]["predictions"] != expected:
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({**REQUEST, "seed": 3}, "Received: seed"),
        ({**REQUEST, "params": {"seed": 3}}, "Received: params"),
        ({"rows": []}, "Received: rows"),
        ({"dataframe_records": [{"count": 1.5, "seed": 7}]}, "'count' must be a whole number"),
        (b"{", "JSON"),
        (b"[1]", "list"),
        (b"[" * 100_000, "deeply nested"),
        (b'{"dataframe_records": ' + 20_000 * b"[" + 20_000 * b"]" + b"}", "deeply nested"),
    ],
)
def test_unknown_or_invalid_parts_of_a_request_are_refused(address: str, request_: Any, message: str) -> None:
    status, answer = ask(address, request_)
    assert status == 400
    assert message in answer["message"]


def test_a_model_without_a_champion_is_refused(registered: Any) -> None:
    for name, alias in (("dogs", "champion"), ("cats", "challenger")):
        with pytest.raises(InvalidInput, match=rf"must exist in the registry\. Received: {name}@{alias}"):
            Switch(registered, name, alias)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"dataframe_records": [{"count": 2, "count": 1, "seed": 7}]}', "each key once. Received: count twice"),
        (
            '{"dataframe_records": [], "dataframe_records": [{"count": 1, "seed": 7}]}',
            "Received: dataframe_rec",
        ),
        ('{"dataframe_records": [{"count": 1, "seed": NaN}]}', "must be finite, as JSON requires. Received: NaN"),
    ],
)
def test_duplicate_keys_and_nan_in_json_are_refused(address: str, body: str, message: str) -> None:
    status, answer = ask(address, body.encode())
    assert status == 400
    assert message in answer["message"]


def test_a_request_without_a_content_type_is_refused(address: str) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    connection.request("POST", "/invocations", json.dumps(REQUEST).encode())
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["message"]) == (
        400,
        "A request must have a Content-Type, such as application/json. Received: none",
    )
    connection.close()


def test_a_client_that_leaves_is_no_failure(address: str, caplog: pytest.LogCaptureFixture) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as leaving:
        head = (
            "POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        leaving.sendall(head.encode())
        time.sleep(0.3)
    status, _ = ask(address, REQUEST)
    assert status == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
