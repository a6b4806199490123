"""Warm starts from the training state of a registered version, in a real registry on sqlite."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import blobs, write_dataset
from evaluations import evaluation, generator
from recipes import small_training
from registrations import CONFIG, MARKS

from components.registry.registration import register
from components.registry.warm_start import RANDOM, find_initial
from components.training.build import version_to_start_from
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput, TryAgain
from gan_core.output_files import STATE_FILE

pytestmark = MARKS


def register_state(name: str, score: float, state: bytes | None) -> Path:
    folder = generator(Path(name))
    if state is not None:
        (folder / STATE_FILE).write_bytes(state)
    register(CONFIG, folder, evaluation(score, 0.0, of=folder))
    return folder


def test_the_champions_state_is_loaded_and_is_not_part_of_the_served_model() -> None:
    assert find_initial("models:/generator@champion") == RANDOM  # the registry is empty
    register_state("first", 100.0, b"one")
    register_state("second", 99.0, b"two")
    first = find_initial("models:/generator@champion")
    assert (first.name, first.content) == ("version 1 of generator", b"one")
    assert find_initial("models:/generator@challenger").content == find_initial("models:/generator/2").content == b"two"
    assert find_initial("models:/generator@nobody") == find_initial("none") == RANDOM
    register_state("third", 50.0, b"three")
    assert find_initial("models:/generator@champion").content == b"three"
    served = list(Path("mlruns").rglob("generator.keras"))
    assert len(served) == 3
    assert not any((path.parent / STATE_FILE).exists() for path in served)
    assert len(list(Path("mlruns").rglob(STATE_FILE))) == 3


@pytest.mark.parametrize(
    ("configured", "named"),
    [("auto", "models:/synthetic-16x16x1@champion"), ("my cats", "models:/my cats@champion")],
)
def test_champion_means_the_champion_of_the_generators_own_model(configured: str, named: str, tmp_path: Path) -> None:
    dataset = PreparedDataset(write_dataset(tmp_path / "data", blobs(4), blobs(4)))
    section = CONFIG.model_copy(update={"model_name": configured}).model_dump_json()
    assert version_to_start_from("champion", section, dataset) == named
    assert version_to_start_from("champion", named, dataset) == named
    assert version_to_start_from("models:/a/1", None, dataset) == "models:/a/1"
    with pytest.raises(InvalidInput, match="needs --champion, which names its model"):
        version_to_start_from("champion", None, dataset)


def test_a_version_with_a_missing_or_changed_state_is_refused() -> None:
    register_state("first", 100.0, None)
    with pytest.raises(InvalidInput, match=r"with its training state\. Received: version 1 of generator"):
        find_initial("models:/generator@champion")
    with pytest.raises(InvalidInput, match=r"must exist\. Received: train.warm_start=models:/generator/7"):
        find_initial("models:/generator/7")
    register_state("second", 10.0, b"two")
    [stored] = Path("mlruns").rglob(STATE_FILE)
    stored.write_bytes(b"owt")
    with pytest.raises(InvalidInput, match="must be unchanged since its registration"):
        find_initial("models:/generator/2")


def test_a_state_above_the_limit_is_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    register_state("first", 100.0, b"four")
    monkeypatch.setattr("components.registry.warm_start._MOST_BYTES", 3)
    monkeypatch.setattr("mlflow.MlflowClient.download_artifacts", lambda *_: pytest.fail("it was downloaded"))
    with pytest.raises(InvalidInput, match=r"at most 3 bytes\. Received: version 1 of generator, 4 bytes"):
        find_initial("models:/generator@champion")


def test_an_unreachable_server_is_a_temporary_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TryAgain, match="MLflow did not provide the state"):
        find_initial("models:/generator@champion")
    assert find_initial("none") == RANDOM


@pytest.mark.parametrize("warm_start", ["champions", "generator@champion", "models:/a/b@c", "/etc", ""])
def test_invalid_values_are_refused(warm_start: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"'train\.warm_start' must be none, champion, or a registered version such as"
    ):
        small_training(warm_start=warm_start)
