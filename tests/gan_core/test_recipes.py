"""The recipes that replace `auto` in the section train."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from datasets import blobs, write_dataset
from modalities import EXAMPLES, Example
from recipes import project_parameters

from components.training.build import fitted
from gan_core.config import TrainConfig
from gan_core.config.section import OR_AUTO
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.recipes import IMAGES, RECIPES, Recipe, recipe_for, with_recipe

ROOT = Path(__file__).resolve().parents[2]
TRAIN: dict[str, Any] = project_parameters()["train"]


def test_every_recipe_has_a_value_for_each_parameter_that_may_be_automatic() -> None:
    automatic = {name for name, field in TrainConfig.model_fields.items() if OR_AUTO in field.metadata}
    for recipe in RECIPES:
        assert recipe.values.keys() == automatic, recipe.name


def test_the_projects_parameters_leave_everything_to_the_recipe() -> None:
    config = TrainConfig.parse(TRAIN)
    assert config.automatic == [name for name in TrainConfig.model_fields if name in IMAGES.values]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_is_a_valid_section(recipe: Recipe) -> None:
    config = with_recipe(TrainConfig.parse(TRAIN), recipe)
    assert config.automatic == []
    assert TrainConfig.parse(config.model_dump()) == config


def test_a_value_that_was_set_stays() -> None:
    config = with_recipe(TrainConfig.parse(TRAIN | {"steps": 7, "loss": "hinge"}), IMAGES)
    assert (config.steps, config.loss, config.network) == (7, "hinge", "dcgan")
    assert with_recipe(config, RECIPES[0]) == config


def test_a_value_that_does_not_fit_the_recipe_is_refused_with_both() -> None:
    config = TrainConfig.parse(TRAIN | {"loss": "wasserstein"})
    with pytest.raises(
        InvalidInput,
        match=r"must be above 0 with the wasserstein loss.*Received: loss='wasserstein', gradient_penalty_weight=0\.0; "
        r"the recipe for images chose gradient_penalty_weight$",
    ):
        with_recipe(config, IMAGES)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_data_choose_the_recipe(example: Example, tmp_path: Path) -> None:
    dataset = PreparedDataset(example.prepared(tmp_path))
    name = {"image": "images", "audio": "sound with classes", "text": "text"}[example.modality]
    assert recipe_for(dataset.manifest).name == name
    config, images, chosen = fitted(TrainConfig.parse(TRAIN | {"score_every_images": 0}), dataset)
    assert (chosen, config.conditional, images.count) == (name, "on", dataset.manifest.counts["train"])
    assert config == with_recipe(
        TrainConfig.parse(TRAIN | {"score_every_images": 0, "conditional": "on"}), _named(name)
    )


def test_pairs_have_their_recipe(tmp_path: Path) -> None:
    images = blobs(20)
    data = PreparedDataset(write_dataset(tmp_path / "data", images[:12], images[12:], pairs="inpainting"))
    config, _, chosen = fitted(TrainConfig.parse(TRAIN), data)
    assert (chosen, config.network, config.reconstruction) == ("pairs", "unet", "l1")


def test_a_training_without_automatic_parameters_has_no_recipe(tmp_path: Path) -> None:
    images = blobs(20)
    data = PreparedDataset(write_dataset(tmp_path / "data", images[:12], images[12:]))
    given = with_recipe(TrainConfig.parse(TRAIN), IMAGES)
    assert fitted(given, data)[2] == ""
    assert fitted(TrainConfig.parse(TRAIN), data)[0] == fitted(given, data)[0]


def test_the_documentation_has_the_values() -> None:
    """docs/recipes.md has a row for each parameter, with the value of each recipe."""
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    rows = {match[1]: match[2].split(" | ") for match in re.finditer(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)}
    assert rows == {
        name: [_written(recipe.values[name]) for recipe in RECIPES] for name in TrainConfig.model_fields if name in rows
    }
    assert rows.keys() == IMAGES.values.keys()
    head = "| parameter | " + " | ".join(recipe.name for recipe in RECIPES) + " |"
    assert head in page


def _written(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value).lower()


def _named(name: str) -> Recipe:
    return next(recipe for recipe in RECIPES if recipe.name == name)
