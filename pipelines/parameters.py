"""Reads the sections of params.yaml for a pipeline, applies overrides and checks them."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from gan_core.config import EvaluateConfig, RegisterConfig, Section, TrainConfig, nearest
from gan_core.data.parameters import PrepareConfig, moved
from gan_core.errors import InvalidInput
from gan_core.evaluation.requirements import check_sections
from gan_core.modalities import MODALITIES
from gan_core.modalities.choice import known_modality
from gan_core.recipes import require_a_recipe
from pipelines.overrides import Override, words

SECTIONS: dict[str, type[Section]] = {
    one.section: one for one in (PrepareConfig, TrainConfig, EvaluateConfig, RegisterConfig)
}
Values = dict[str, Any]
_CHANGED_BY_DVC = re.compile(r"[\\\x00-\x1f\x7f]|\$\{")
_FLOAT_TO_DVC = re.compile(r"(?i)[+-]?(inf|nan)")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@-]*|\"[^\"\\\\]*\"")


def read(path: Path) -> dict[str, Values]:
    """Reads the sections of a params.yaml.

    Raises:
        InvalidInput: the file cannot be read, or lacks a section.
    """
    document = load_yaml(path, "The parameters")
    if not isinstance(document, dict) or not all(isinstance(document.get(name), dict) for name in SECTIONS):
        raise InvalidInput(f"The parameters must have the sections {', '.join(SECTIONS)}. Received: {path}")
    return {name: document[name] for name in SECTIONS}


def preset(path: Path) -> list[str]:
    """Reads a preset, a file like params.yaml with fewer keys, as overrides; `override` checks their values.

    Raises:
        InvalidInput: the file cannot be read, or names a section or a parameter that does not exist.
    """
    document = load_yaml(path, "A preset") or {}
    if not isinstance(document, dict) or not all(isinstance(values, dict) for values in document.values()):
        raise InvalidInput(f"A preset must have sections of parameters, like params.yaml. Received: {path}")
    found = []
    for name, values in document.items():
        if name not in SECTIONS:
            raise InvalidInput(f"There is no section '{name}'{nearest(str(name), SECTIONS)}. Received: {path}")
        for key, value in flat(values).items():
            if key not in _fields(name):
                sentence = moved(str(key), value) if name == "prepare" else None
                hint = nearest(str(key), _fields(name))
                raise InvalidInput(
                    f"{sentence}, {path}"
                    if sentence
                    else f"There is no parameter '{name}.{key}'{hint}. Received: {path}"
                )
            # Quoted as JSON, so that text stays text.
            found.append(f"{name}.{key}={json.dumps(value, ensure_ascii=False, default=str)}")
    return found


def override(sections: Mapping[str, Values], overrides: Sequence[str]) -> dict[str, Values]:
    """Applies overrides such as `train.steps=20000` and checks the result. `pipelines.overrides` parses them.

    Raises:
        InvalidInput: an override is malformed, names no parameter, or gives a wrong value.
    """
    changed = {name: copy.deepcopy(values) for name, values in sections.items()}
    for text in overrides:
        found = Override.read(text)
        if found.section in SECTIONS and found.section not in changed:
            raise InvalidInput(
                f"A compiled sweep has no section {found.section}, because each trial has its own: "
                f"write it with --grid or --trial of `compile`. Received: {text}"
            )
        if found.section not in changed:
            raise InvalidInput(
                f"There is no section '{found.section}'{nearest(found.section, SECTIONS)}. Received: {text}"
            )
        if found.section == "prepare" and found.key in MODALITIES:
            raise InvalidInput(f"An override changes one parameter, such as prepare.image.height=64. Received: {text}")
        value = found.value(is_text(found.section, found.key))
        nested, _, key = found.key.rpartition(".")
        if nested and not isinstance(changed[found.section].setdefault(nested, {}), dict):
            raise InvalidInput(f"There is no section '{found.section}.{nested}'. Received: {text}")
        (changed[found.section][nested] if nested else changed[found.section])[key] = value
    for name, values in changed.items():
        SECTIONS[name].parse(values)
    if "train" in changed:  # a compiled sweep has none
        require_a_recipe(TrainConfig.parse(changed["train"]))
    _require_chosen(changed, overrides)
    if chosen := known_modality(changed["prepare"]["source"], changed["prepare"]["modality"]):
        PrepareConfig.parse(changed["prepare"]).of(chosen)
    check_sections(EvaluateConfig.parse(changed["evaluate"]), RegisterConfig.parse(changed["register"]))
    return changed


def flat(values: Values) -> Values:
    """Returns the parameters of a section, those of a nested section as `image.height`."""
    found: Values = {}
    for key, value in values.items():
        found |= {f"{key}.{inner}": one for inner, one in value.items()} if _is_nested(key, value) else {key: value}
    return found


def _is_nested(key: str, value: Any) -> bool:
    return key in MODALITIES and isinstance(value, dict)


def chosen_only(prepare: Values) -> Values:
    """Returns the section prepare without the nested sections of modalities that its data certainly does not have.

    So a change of a parameter of sound does not change the inputs of a run on images, by which Kubeflow finds the
    results of earlier runs.
    """
    chosen = known_modality(prepare["source"], prepare["modality"])
    return {key: value for key, value in prepare.items() if key not in MODALITIES or chosen in (key, None)}


def _require_chosen(sections: Mapping[str, Values], overrides: Sequence[str]) -> None:
    """Refuses an override of a parameter that the data does not have."""
    kept = flat(chosen_only(sections["prepare"]))
    for text in overrides:
        found = Override.read(text)
        if found.section == "prepare" and found.key not in kept:
            raise InvalidInput(
                f"The parameter 'prepare.{found.key}' must be one of the data's modality. Received: {text}, "
                f"source={kept['source']!r}, modality={kept['modality']!r}"
            )


def _fields(section: str) -> dict[str, FieldInfo]:
    """The parameters of a section, with those of nested sections as `image.height`."""
    nested = MODALITIES if section == "prepare" else {}
    return SECTIONS[section].model_fields | {
        f"{name}.{key}": field for name, one in nested.items() for key, field in one.settings.model_fields.items()
    }


def is_text(section: str, key: str) -> bool:
    """Whether a parameter is free text, so that its value is taken literally."""
    field = _fields(section).get(key) if section in SECTIONS else None
    return field is not None and field.annotation is str


def for_dvc(overrides: Sequence[str]) -> list[str]:
    """Returns the overrides for `dvc exp run -S`: text with characters that are special to its parser is quoted.

    Raises:
        InvalidInput: the parser would change a text even if it is quoted.
    """
    written = []
    for text in overrides:
        found = Override.read(text)
        if is_text(found.section, found.key) and _CHANGED_BY_DVC.search(str(found.value(is_text=True))):
            raise InvalidInput(
                "On the command line, DVC does not accept text with a backslash, a control character or ${; write it "
                f"into params.yaml. Received: {text}"
            )
        plain = not is_text(found.section, found.key) or (
            _PLAIN.fullmatch(found.text)
            and not _FLOAT_TO_DVC.fullmatch(found.text)
            and isinstance(found.value(is_text=False), str)
        )
        value = json.dumps(found.value(is_text=True), ensure_ascii=False)
        written.append(text if plain else f"{found.section}.{found.key}={value}")
    return written


def trials(sections: Mapping[str, Values], grid: Sequence[str], listed: Sequence[str]) -> list[Values]:
    """Returns the trials of a sweep: each combination of `grid`, then each entry of `listed`.

    Args:
        sections: the parameters that the trials change.
        grid: overrides with several values, as DVC queues them: `train.learning_rate=0.0001,0.0002`.
        listed: sets of overrides, separated by spaces as in a shell: `train.seed=1 train.dropout=0.3`.

    Returns:
        A dict `{"train": section}` for each trial.

    Raises:
        InvalidInput: an override is wrong or changes a section other than train; or there is no trial, or a duplicate.
    """
    choices = [Override.read(text) for text in grid]
    combinations = [
        list(chosen) for chosen in (itertools.product(*([*one.alternatives()] for one in choices)) if choices else ())
    ]
    combinations += [words(entry, strict=True) for entry in listed]
    found: list[Values] = []
    for overrides in combinations:
        changed = override(sections, overrides)
        others = [name for name in changed if name != "train" and changed[name] != sections[name]]
        if others:
            raise InvalidInput(
                f"The trials of a sweep may differ only in the train section. Received: {' '.join(overrides)}"
            )
        trial = {"train": changed["train"]}
        if trial in found:
            raise InvalidInput(f"Each trial must differ from the others. Received twice: {' '.join(overrides)}")
        found.append(trial)
    if not found:
        raise InvalidInput("A sweep needs --grid or --trial. Received: neither")
    return found


def load_yaml(path: Path, what: str) -> Any:
    """Reads a YAML file.

    Raises:
        InvalidInput: it cannot be read; `what` begins the message.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # DVC reads YAML 1.2, which forbids duplicate keys.
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"{what} must be a readable YAML file: {reason}. Received: {path}") from None
