"""Names and describes a run by the inputs that differ from the defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gan_core.raw_data import DvcPointer
from pipelines import package
from pipelines.parameters import SECTIONS, Values, flat
from pipelines.stored_text import MOST_CHARACTERS

_MOST_IN_NAME = 100
_COMPILED = " Compiled with "
_SEPARATOR = re.compile(r", (?=[\w.]+=|\d+ trials?$)")


def compiled_description(description: str, changes: Sequence[str]) -> str:
    """Returns a pipeline's description that also says which overrides were compiled in."""
    return f"{description}{_COMPILED}{', '.join(changes)}." if changes else description


def split_description(specification: Values) -> tuple[str, list[str]]:
    """Returns a compiled pipeline's own description, and the overrides that were compiled in."""
    description, _, changes = str(specification["pipelineInfo"].get("description", "")).partition(_COMPILED)
    return description, _SEPARATOR.split(changes.removesuffix(".")) if changes else []


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Returns the inputs of `after` that differ from `before`, as `train.steps=20000`; those of the training first."""
    found = []
    # Kubeflow's page shows the first 40 characters of a name, and most runs differ in their training.
    for name, value in sorted(after.items(), key=lambda item: item[0] != "train"):
        if name in SECTIONS:
            earlier = flat(before[name])
            found += [f"{name}.{key}={_shown(new)}" for key, new in flat(value).items() if earlier.get(key) != new]
        elif name == "data_pointer" and value and not value.startswith("gs://"):
            import yaml

            pointer = DvcPointer.parse(value, yaml.safe_load)
            found.append(f"{name}={pointer.path} (md5 {pointer.md5[:12]})")
        elif value != before.get(name):
            found.append(f"{name}={_shown(value)}")
    return found


def _shown(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)


def run_name(specification: Values, values: Values, now: datetime) -> str:
    """Returns the name of a run: its pipeline, its changed inputs, and the time."""
    changes = listed(all_changes(specification, values), _MOST_IN_NAME)
    return " ".join(filter(None, (specification["pipelineInfo"]["name"], changes, f"{now:%Y-%m-%d %H:%M:%S}")))


def run_description(specification: Values, values: Values) -> str:
    """Returns the description of a run: its changed inputs, and the pipeline's description if it fits."""
    changes = all_changes(specification, values)
    description, _ = split_description(specification)
    shown = listed(changes, MOST_CHARACTERS - 20)
    text = f"Overrides: {shown}{'' if shown.endswith('…') else '.'}" if changes else "No overrides."
    return f"{text} {description}" if len(text) + len(description) < MOST_CHARACTERS else text


def all_changes(specification: Values, values: Values) -> list[str]:
    """Returns the overrides of `values`, and then those that were compiled in and that they do not replace."""
    own = between(package.inputs(specification), values)
    replaced = {change.partition("=")[0] for change in own}
    return own + [one for one in split_description(specification)[1] if one.partition("=")[0] not in replaced]


def listed(changes: Sequence[str], most: int) -> str:
    """Returns the changes as text of at most `most` characters; `…` replaces the rest."""
    whole = ", ".join(changes)
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def labelled(trials: Sequence[Values]) -> list[Values]:
    """Adds to each trial of a sweep a `label`: its values of the parameters in which the trials differ."""
    sections = [trial["train"] for trial in trials]
    differing = [key for key in sections[0] if any(section[key] != sections[0][key] for section in sections)]
    return [
        trial | {"label": ", ".join(f"{key}={_shown(trial['train'][key])}" for key in differing)} for trial in trials
    ]
