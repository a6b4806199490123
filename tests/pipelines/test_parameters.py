"""Overrides are read by DVC's own code; here is what becomes of them, and of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_core.errors import InvalidInput
from pipelines import parameters

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sections() -> dict[str, parameters.Values]:
    return parameters.read(ROOT / "params.yaml")


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.steps=20000", "train", "steps", 20000),
        ("train.learning_rate=1e-4", "train", "learning_rate", 0.0001),
        ("train.loss=minimax", "train", "loss", "minimax"),
        ("prepare.source=data/raw/cats", "prepare", "source", "data/raw/cats"),
    ],
)
def test_an_override_changes_one_value(sections, override, section, key, value) -> None:
    changed = parameters.override(sections, [override])
    assert changed == {**sections, section: {**sections[section], key: value}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", "train.stepz"),
        ("foo.bar=1", "foo.bar"),
        ("+foo=1", "There is no section 'foo'"),
        ("+train.x=1", "There is no parameter 'train.x'"),
        ("train.steps", "must be section.key=value"),
        ("train.steps=0", "'train.steps' must be greater than or equal to 1"),
        ("train.steps=10.5", "'train.steps' must be a valid integer"),
        ("train.seed=0,1", "must be section.key=value"),
        ("~train.steps", "'train.steps' is missing"),
    ],
)
def test_a_wrong_override_is_one_sentence(sections, override, message) -> None:
    with pytest.raises(InvalidInput, match=r"^[^\n]*$") as caught:
        parameters.override(sections, [override])
    assert message in str(caught.value)


def test_integers_that_kubeflow_made_floats_stay_valid(sections) -> None:
    floats = {**sections, "train": {**sections["train"], "steps": 6000.0}}
    assert parameters.override(floats, ["train.seed=3"])["train"]["steps"] == 6000.0


def test_a_grid_gives_every_combination_and_the_list_comes_after(sections) -> None:
    grid = ["train.learning_rate=0.0001,0.0002", "train.seed=5,6"]
    found = parameters.trials(sections, grid, ["train.loss=minimax train.seed=7"])
    default = sections["train"]["learning_rate"]
    chosen = [tuple(trial["train"][key] for key in ("learning_rate", "seed", "loss")) for trial in found]
    assert chosen == [
        (0.0001, 5, "non_saturating"),
        (0.0001, 6, "non_saturating"),
        (0.0002, 5, "non_saturating"),
        (0.0002, 6, "non_saturating"),
        (default, 7, "minimax"),
    ]
    assert all(set(trial["train"]) == set(sections["train"]) for trial in found)


@pytest.mark.parametrize(
    ("grid", "listed", "message"),
    [
        ([], [], "needs --grid or --trial"),
        (["evaluate.seed=1,2"], [], "may differ in train alone"),
        (["train.seed=1"], ["train.seed=1"], "must differ from the others"),
        (["train.seed=glob(*)"], [], "glob"),
        ([], ["'"], "quotation"),
        (["train.stepz=1,2"], [], "train.stepz"),
    ],
)
def test_a_wrong_sweep_is_refused(sections, grid, listed, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        parameters.trials(sections, grid, listed)


@pytest.mark.parametrize("text", ["[", "- a", "train: {}", ""])
def test_a_file_that_is_no_params_file_is_refused(text, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="parameters must"):
        parameters.read(tmp_path / "params.yaml")
