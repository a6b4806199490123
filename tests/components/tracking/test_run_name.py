"""Names of runs."""

from __future__ import annotations

from components.tracking.run_name import run_name

PARAMETERS = {"network": "dcgan", "loss": "hinge", "steps": 100}


def test_a_run_is_named_by_its_experiment_its_data_and_its_recipe() -> None:
    name = run_name("data/raw/cats", (64, 64, 3), PARAMETERS, "plain-base")
    assert name == "plain-base cats-64x64x3 dcgan hinge"


def test_the_name_of_a_run_without_an_experiment_starts_with_a_digest_of_the_parameters() -> None:
    name = run_name("embedded", (28, 28, 1), PARAMETERS, None)
    first, rest = name.split(" ", 1)
    assert len(first) == 6
    assert rest == "embedded-28x28x1 dcgan hinge"
    assert run_name("embedded", (28, 28, 1), {**PARAMETERS}, None) == name
    assert run_name("embedded", (28, 28, 1), {**PARAMETERS, "steps": 200}, None).split()[0] != first
