"""The sections of params.yaml on their way into a pipeline: overridden as `dvc exp run -S` does, and checked."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_core.config import EvaluateConfig, PrepareConfig, RegisterConfig, Section, TrainConfig
from gan_core.documents import read_modest
from gan_core.errors import InvalidInput
from gan_core.evaluation.requirements import check_sections

SECTIONS: dict[str, type[Section]] = {
    "prepare": PrepareConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "register": RegisterConfig,
}
Values = dict[str, Any]


def read(path: Path) -> dict[str, Values]:
    """Reads the sections of a params.yaml.

    Raises:
        InvalidInput: the file cannot be read, or lacks a section.
    """
    document = _load(path, "The parameters")
    if not isinstance(document, dict) or not all(isinstance(document.get(name), dict) for name in SECTIONS):
        raise InvalidInput(f"The parameters must have the sections {', '.join(SECTIONS)}. Received: {path}")
    return {name: document[name] for name in SECTIONS}


def preset(path: Path) -> list[str]:
    """Reads a preset, a file like params.yaml with fewer keys, as overrides; `override` checks their values.

    Raises:
        InvalidInput: the file cannot be read, or names a section or a parameter that there is not.
    """
    document = _load(path, "A preset") or {}
    if not isinstance(document, dict) or not all(isinstance(values, dict) for values in document.values()):
        raise InvalidInput(f"A preset must have sections of parameters, like params.yaml. Received: {path}")
    found = []
    for name, values in document.items():
        if name not in SECTIONS:
            raise InvalidInput(f"There is no section '{name}'. Received: {path}")
        for key, value in values.items():
            if key not in SECTIONS[name].model_fields:
                raise InvalidInput(f"There is no parameter '{name}.{key}'. Received: {path}")
            # Quoted, as JSON quotes it, so that text stays text.
            found.append(f"{name}.{key}={json.dumps(value, ensure_ascii=False, default=str)}")
    return found


def override(sections: Mapping[str, Values], overrides: Sequence[str]) -> dict[str, Values]:
    """Applies overrides such as `train.steps=20000`, by DVC's own code, and checks the result.

    Raises:
        InvalidInput: an override is malformed, names no parameter, or gives a wrong value.
    """
    changed = _apply(sections, overrides) if overrides else dict(sections)
    for name, values in changed.items():
        try:
            SECTIONS[name].parse(values)
        except InvalidInput as error:
            raise InvalidInput(str(error).replace("parameter '", f"parameter '{name}.")) from None
    check_sections(EvaluateConfig.parse(changed["evaluate"]), RegisterConfig.parse(changed["register"]))
    return changed


def trials(sections: Mapping[str, Values], grid: Sequence[str], listed: Sequence[str]) -> list[Values]:
    """The trials of a sweep: each combination of `grid`, then each entry of `listed`.

    Args:
        sections: the parameters that the trials start from.
        grid: overrides with several values, as DVC queues them: `train.learning_rate=0.0001,0.0002`.
        listed: sets of overrides, separated by spaces as in a shell: `train.seed=1 train.dropout=0.3`.

    Returns:
        For each trial `{"train": section}`.

    Raises:
        InvalidInput: an override is wrong or changes another section than train, or there is no trial, or one twice.
    """
    from dvc.utils.hydra import get_hydra_sweeps

    try:
        combinations = [entry["params"] for entry in get_hydra_sweeps({"params": list(grid)})] if grid else []
        combinations += [shlex.split(entry) for entry in listed]
    except Exception as error:  # DVC's and Hydra's own exceptions have no common base
        raise _as_invalid(error, [*grid, *listed]) from None
    found: list[Values] = []
    for overrides in combinations:
        changed = override(sections, overrides)
        others = [name for name in changed if name != "train" and changed[name] != sections[name]]
        if others:
            raise InvalidInput(f"The trials of a sweep may differ in train alone. Received: {' '.join(overrides)}")
        trial = {"train": changed["train"]}
        if trial in found:
            raise InvalidInput(f"Each trial must differ from the others. Received twice: {' '.join(overrides)}")
        found.append(trial)
    if not found:
        raise InvalidInput("A sweep needs --grid or --trial. Received: neither")
    return found


def _load(path: Path, what: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(read_modest(path))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"{what} must be a readable YAML file: {reason}. Received: {path}") from None


def _apply(sections: Mapping[str, Values], overrides: Sequence[str]) -> dict[str, Values]:
    import yaml
    from dvc.utils.hydra import apply_overrides
    from dvc.utils.serialize import load_yaml

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        file.write_text(yaml.safe_dump(dict(sections)), encoding="utf-8")
        try:
            apply_overrides(file, list(overrides))
        except Exception as error:
            raise _as_invalid(error, overrides) from None
        # DVC writes YAML 1.2, where 5e-05 is a number and off a word.
        changed = load_yaml(str(file))
    unknown = set(changed) - set(sections)
    if unknown:
        raise InvalidInput(f"There is no section '{min(unknown)}'. Received: {' '.join(overrides)}")
    return {name: changed[name] for name in sections}


def _as_invalid(error: Exception, overrides: Sequence[str]) -> InvalidInput:
    reason = str(error.__cause__ or error).splitlines()[0].rstrip(".")
    return InvalidInput(f"An override must be section.key=value: {reason}. Received: {' '.join(overrides)}")
