import argparse
import os
import sys
import threading
from pathlib import Path

import pytest
import yaml

from benchmarks import quality
from gan_core.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]


def arguments(*options):
    return quality._parser().parse_args([*options, "--config", str(ROOT / "params.yaml")])


def sides_of(parsed: argparse.Namespace):
    return quality._sides({"default": {}, **quality._recipes(parsed)}, parsed)


def test_every_recipe_of_the_ablation_is_valid_and_changes_something():
    sides = sides_of(arguments("--ablate", "--no-tutorial"))
    assert set(sides) == {"default", *yaml.safe_load((ROOT / "benchmarks" / "ablation.yaml").read_text())}
    settings = [settings for _, settings in sides.values()]
    assert all(settings.count(one) == 1 for one in settings)


def test_overrides_become_a_recipe():
    sides = sides_of(
        arguments("--recipe", "other", "train.loss=hinge train.augment=[color,cutout] train.augment_probability=1")
    )
    assert list(sides) == ["default", "other", "tutorial", "tutorial-tuned"]
    changes = {"loss": "hinge", "augment": ("color", "cutout"), "augment_probability": 1.0}
    assert sides["other"][1] == sides["default"][1] | changes


@pytest.mark.parametrize(
    ("overrides", "message"),
    [("loss=hinge", "train.<parameter>"), ("train.los=hinge", "recipe 'other': There is no parameter 'train.los'")],
)
def test_a_wrong_recipe_is_refused(overrides, message):
    with pytest.raises(InvalidInput, match=message):
        sides_of(arguments("--recipe", "other", overrides))


def test_sides_alternate_and_trainings_are_named_by_settings_that_affect_their_result():
    parsed = arguments("--minutes", "0.5")
    turns = [list(quality._turn(sides_of(parsed), seed, parsed)) for seed in range(2)]
    assert [one.side for one in turns[0]] == [one.side for one in turns[1]][::-1]
    assert turns[0][0].moments == (2.5, 5, 7.5, 10, 15, 20, 30)
    names = {quality._name(one) for turn in turns for one in turn}
    assert len(names) == 6
    more = arguments("--minutes", "0.5", "--seeds", "5", "--no-tutorial", "--output", "elsewhere")
    assert {quality._name(one) for one in quality._turn(sides_of(more), 1, more)} < names


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_concurrent_trainings_share_the_processors(monkeypatch, tmp_path):
    used = []
    both = threading.Barrier(2)

    def train(_specification, _folder):
        both.wait(timeout=10)
        used.append(frozenset(os.sched_getaffinity(0)))

    monkeypatch.setattr(quality, "run_timed", train)
    monkeypatch.setattr(quality, "official_split", lambda: None)
    monkeypatch.setattr(quality, "_judge", lambda *_: None)
    options = ["quality", "--no-tutorial", "--seeds", "4", "--at-once", "2", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*options, "--config", str(ROOT / "params.yaml")])
    before = os.sched_getaffinity(0)
    quality.main()
    one, other = set(used)
    assert (one | other, one & other) == (before, set())
    assert os.sched_getaffinity(0) == before
