"""Registrations for the tests, in the project's own MLflow database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluations import evaluation, generator, register_config

from components.registry.registration import register
from components.tracking.runs import experiment_id
from components.tracking.server import connect

CONFIG = register_config("generator")

# For the modules that register generators.
MARKS = [
    pytest.mark.usefixtures("project"),
    # MLflow warns when its modules are imported and when it reads an input example.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


def register_scores(name: str, score: float, spread: float, **protocol: object) -> dict[str, Any]:
    """Registers a new generator of a new training."""
    client = connect()
    run_id = client.create_run(experiment_id(client), run_name=name).info.run_id
    return register(CONFIG, generator(Path(name), run_id), evaluation(score, spread, run_id, **protocol))


def registry() -> tuple[dict[str, str], int]:
    """The aliases and the number of versions of the model 'generator'."""
    client = connect()
    aliases = {alias: str(number) for alias, number in client.get_registered_model("generator").aliases.items()}
    return aliases, len(client.search_model_versions("name = 'generator'"))
