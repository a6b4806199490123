"""The name of a registered model, which is derived from the data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from evaluations import evaluation, generator, register_config

from components.registry.registration import register
from components.tracking.model_name import registered_name
from gan_core.config import RegisterConfig
from gan_core.errors import InvalidInput

AUTO = register_config("auto")


def name_of(source: str) -> str:
    return registered_name("auto", source, (64, 64, 3), paired=False)


@pytest.mark.parametrize(
    "source",
    [
        *(
            "cats",
            "data/raw/cats",
            "/home/anna/cats/",
            "./cats",
            "data/raw/cats/.",
            "data/raw/dogs/../cats/",
            "data/cats/*.tar",
        ),
        *(
            "gs://bucket/raw/cats",
            "gs://bucket/cats/",
            "gs://bucket/raw/cats#0123abc",
            "gs://bucket/cats.dvc",
            "cats.dvc",
        ),
    ],
)
def test_the_name_does_not_depend_on_the_location_of_the_data(source: str) -> None:
    assert name_of(source) == "cats-64x64x3"


def test_the_name_includes_the_shape_and_the_pairs() -> None:
    assert registered_name("auto", "embedded", (28, 28, 1), paired=False) == "embedded-28x28x1"
    assert registered_name("auto", "embedded", (28, 28, 1), paired=True) == "embedded-28x28x1-paired"


def test_a_configured_name_is_not_changed() -> None:
    assert registered_name("generator", "data/raw/cats", (64, 64, 3), paired=True) == "generator"


def test_names_with_other_characters_become_valid_and_stay_distinct() -> None:
    assert name_of("my cats") == "my-cats-64x64x3"
    assert name_of("a:b") == name_of("x/a:b") == "a-b-64x64x3"
    names = [
        name_of(name) for name in ("猫", "犬", "été", "ete", "x" * 300, "x" * 301, "\udcff", "\ud800", "/", "..", "---")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,149}", name) for name in names), names
    assert len(set(names[:-3])) == len(names[:-3])
    assert names[-3:] == ["data-64x64x3"] * 3
    assert name_of("e\u0301te\u0301") == name_of("été")  # the decomposed form of macOS


@pytest.mark.parametrize("name", ["", " ", ".", "..", "..cats", "a/b", "a:b", "x" * 257])
def test_a_name_that_mlflow_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"'register\.model_name' must .*Received: "):
        RegisterConfig.parse(AUTO.model_dump() | {"model_name": name})


@pytest.mark.usefixtures("project")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated")
def test_a_generator_is_compared_only_with_the_champion_of_its_own_data() -> None:
    def register_generator(name: str, score: float, source: str, digest: str) -> dict[str, Any]:
        folder = generator(Path(name), dataset_source=source, dataset_digest=digest)
        scores = evaluation(score, 0.1, of=folder).model_copy(update={"dataset_digest": digest})
        return register(AUTO, folder, scores)

    first = register_generator("clothes", 9.0, "embedded", "sha256-clothes")
    cats = register_generator("cats", 5.0, "data/raw/cats", "sha256-cats")
    again = register_generator("more", 2.0, "/elsewhere/cats", "sha256-more")
    assert [record["name"] for record in (first, cats, again)] == ["embedded-16x16x1", "cats-16x16x1", "cats-16x16x1"]
    assert [record["decision"] for record in (first, cats, again)] == ["champion"] * 3
    assert (cats["champion"], again["champion"]) == (None, "1")
