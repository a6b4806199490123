"""The cases of preset_ablation.py: a preset with one of its values put back to the default of params.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from components.training.build import training_images
from gan_core.config import TrainConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.recipes import IMAGES, recipe_for, with_recipe
from pipelines.parameters import Values, flat

PRESET = "the preset"


class Cases(NamedTuple):
    """What can be trained, and what cannot.

    Attributes:
        trained: the changes of the train section by case; `PRESET` comes first and changes nothing.
        skipped: the reason by departure of the preset that no case puts back.
    """

    trained: dict[str, Values]
    skipped: dict[str, str]


def with_recipes(
    defaults: Mapping[str, Values], preset: Mapping[str, Values], dataset: PreparedDataset
) -> tuple[dict[str, Values], dict[str, Values]]:
    """Replaces what is `auto` in both train sections: by the recipe for images, and by that for the preset's data."""
    default, own = (
        with_recipe(TrainConfig.parse(sections["train"]), recipe).model_dump(mode="json")
        for sections, recipe in ((defaults, IMAGES), (preset, recipe_for(dataset.manifest)))
    )
    return {**defaults, "train": default}, {**preset, "train": own}


def find_cases(defaults: Mapping[str, Values], preset: Mapping[str, Values], dataset: PreparedDataset) -> Cases:
    """Puts back each value in which the sections `preset` differ from `defaults`, one at a time.

    If a rule of the parameters forbids a value alone, the preset's other values that the rule names are put back with
    it.
    """
    found = Cases({PRESET: {}}, {})
    for section, values in preset.items():
        default = flat(defaults[section])
        departures = {key: default.get(key) for key, value in flat(values).items() if value != default.get(key)}
        for key, value in departures.items():
            if reason := _no_effect(section, key, values):
                found.skipped[f"{section}.{key}={value}"] = reason
                continue
            changes, refusal = _put_back(key, departures, values, dataset)
            if refusal:
                found.skipped[f"{section}.{key}={value}"] = refusal
            elif changes not in found.trained.values():
                found.trained[" ".join(f"{name}={changed}" for name, changed in changes.items())] = changes
    return found


def _no_effect(section: str, key: str, values: Values) -> str:
    """Returns why the value cannot change a training of a given time; empty if it can."""
    if section != "train":
        return {"prepare": "decides the data, not how it is learned"}.get(section, "changes scores, not the training")
    if key == "steps":
        return "the seconds decide when a training ends"
    scheduled = key.startswith("final_") or key == "schedule_images"
    return "has no effect while the schedule is constant" if scheduled and values["schedule"] == "constant" else ""


def _put_back(key: str, departures: Values, values: Values, dataset: PreparedDataset) -> tuple[Values, str]:
    """Returns the smallest allowed change that puts `key` back, or the sentence that refuses it."""
    keys, first_refusal = {key}, ""
    while True:
        changes = {name: value for name, value in departures.items() if name in keys}
        try:
            training_images(TrainConfig.parse(values | changes), dataset)
        except InvalidInput as error:
            first_refusal = first_refusal or str(error)
            named = set(re.findall(r"(\w+)=", str(error))) & departures.keys()
            if named <= keys:
                return {}, first_refusal
            keys |= named
        else:
            return changes, ""


def train_section(values: Mapping[str, Any], changes: Values, seed: int) -> Values:
    """Returns the train section of a case with a seed, and with more steps than any time is enough for."""
    return {**values, **changes, "seed": seed, "steps": 10**9}
