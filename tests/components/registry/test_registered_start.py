"""The state that a registered version's training left, against a real registry on sqlite."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import blobs, write_dataset
from evaluations import evaluation, generator
from recipes import small_training

from components import train
from components.register import register
from components.registry.warm_start import RANDOM, find_initial
from gan_core.config import RegisterConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput, TryAgain
from gan_core.training.warm_start import STATE_FILE

CONFIG = RegisterConfig(model_name="generator", score="fd_classifier", minimum_improvement=0.1, spread_multiplier=2.0)

pytestmark = [
    pytest.mark.usefixtures("project"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


def register_state(name: str, score: float, state: bytes | None) -> Path:
    folder = generator(Path(name))
    if state is not None:
        (folder / STATE_FILE).write_bytes(state)
    register(CONFIG, folder, evaluation(score, 0.0, of=folder))
    return folder


def test_the_champions_state_comes_back_and_is_not_served() -> None:
    assert find_initial("models:/generator@champion") == RANDOM  # no model yet
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
def test_the_champion_is_that_of_the_model_that_the_generator_will_be_a_version_of(
    configured: str, named: str, tmp_path: Path
) -> None:
    dataset = PreparedDataset(write_dataset(tmp_path / "data", blobs(4), blobs(4)))
    section = CONFIG.model_copy(update={"model_name": configured}).model_dump_json()
    assert train._version_to_start_from("champion", section, dataset) == named
    assert train._version_to_start_from("champion", named, dataset) == named
    assert train._version_to_start_from("models:/a/1", None, dataset) == "models:/a/1"
    with pytest.raises(InvalidInput, match="needs --champion, which names its model"):
        train._version_to_start_from("champion", None, dataset)


def test_a_version_without_its_state_or_with_another_is_refused() -> None:
    register_state("first", 100.0, None)
    with pytest.raises(InvalidInput, match=r"with the state of its training\. Received: version 1 of generator"):
        find_initial("models:/generator@champion")
    with pytest.raises(InvalidInput, match=r"must exist\. Received: train.warm_start=models:/generator/7"):
        find_initial("models:/generator/7")
    register_state("second", 10.0, b"two")
    [stored] = Path("mlruns").rglob(STATE_FILE)
    stored.write_bytes(b"owt")
    with pytest.raises(InvalidInput, match="must be the one that was registered"):
        find_initial("models:/generator/2")


def test_a_server_that_is_away_means_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TryAgain, match="MLflow did not give the state"):
        find_initial("models:/generator@champion")
    assert find_initial("none") == RANDOM


@pytest.mark.parametrize("warm_start", ["champions", "generator@champion", "models:/a/b@c", "/etc", ""])
def test_other_words_are_refused(warm_start: str) -> None:
    with pytest.raises(InvalidInput, match="'warm_start' must be none, champion, or a registered version such as"):
        small_training(warm_start=warm_start)
