"""Kubeflow's executor output, read back by Kubeflow's own code."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components import executor
from components.executor_input import ExecutorInput
from gan_core.errors import InvalidInput


def executor_input(folder: Path, inputs: dict[str, list[str]] | None = None) -> str:
    """Returns the JSON that Kubeflow's launcher passes to a step with the output artifacts `scores` and `report`."""
    message: dict[str, Any] = {
        "inputs": {
            "parameterValues": {"config": {"seed": 0.0}},
            "artifacts": {
                name: {"artifacts": [{"name": str(i), "uri": uri} for i, uri in enumerate(uris)]}
                for name, uris in (inputs or {}).items()
            },
        },
        "outputs": {
            "artifacts": {
                name: {
                    "artifacts": [{"name": name, "uri": f"gs://b/{name}", "type": {"schemaTitle": f"system.{kind}"}}]
                }
                for name, kind in (("scores", "Metrics"), ("report", "HTML"))
            },
            "outputFile": str(folder / "deep" / "executor_output.json"),
        },
    }
    json_format.ParseDict(message, pipeline_spec_pb2.ExecutorInput())
    return json.dumps(message)


def read_output(folder: Path) -> pipeline_spec_pb2.ExecutorOutput:
    text = (folder / "deep" / "executor_output.json").read_text()
    return json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())


def parse(text: str, *outputs: str, inputs: tuple[str, ...] = ()) -> ExecutorInput:
    parser = argparse.ArgumentParser()
    executor.add_option(parser)
    given = parser.parse_args(["--executor-input", text])
    found: ExecutorInput = executor.checked(given, *outputs, inputs=inputs).executor_input
    return found


def test_the_output_lists_every_artifact_with_its_metrics(tmp_path: Path) -> None:
    given = parse(executor_input(tmp_path), "scores")
    executor.write_output(given, {"scores": {"fd_classifier": 12.5, "kid": float("nan")}})
    output = read_output(tmp_path)
    assert {name: artifacts.artifacts[0].uri for name, artifacts in output.artifacts.items()} == {
        "scores": "gs://b/scores",
        "report": "gs://b/report",
    }
    assert output.artifacts["report"].artifacts[0].type.schema_title == "system.HTML"
    assert dict(output.artifacts["scores"].artifacts[0].metadata) == {"fd_classifier": 12.5}
    assert dict(output.artifacts["report"].artifacts[0].metadata) == {}


def test_nothing_is_written_without_executor_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    executor.write_output(None, {"scores": {"kid": 1.0}})
    assert list(tmp_path.iterdir()) == []


def test_input_artifacts_have_local_paths_in_the_same_order(tmp_path: Path) -> None:
    uris = ["gs://b/a/1", "minio://b/a/2", "s3://b/a/3", "/local/4"]
    given = parse(executor_input(tmp_path, {"models": uris}), inputs=("models",))
    assert [str(path) for path in given.input_paths("models")] == [
        "/gcs/b/a/1",
        "/minio/b/a/2",
        "/s3/b/a/3",
        "/local/4",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", '{"outputs": 3}', "{'a'", "[" * 10**5, '{"outputs": {"outputFile": ""}}'),
        '{"outputs": {"outputFile": "o", "artifacts": []}}',
        '{"outputs": {"outputFile": "o", "artifacts": {"scores": {"artifacts": [{"name": "x"}]}}}}',
        '{"outputs": {"outputFile": "o", "artifacts": {"scores": {"artifacts": [3]}}}}',
        '{"outputs": {"outputFile": "o", "artifacts": {"s": {"artifacts": [{"uri": "u", "metadata": {"a": NaN}}]}}}}',
        '{"outputs": {"outputFile": "o"}, "inputs": {"artifacts": {"models": {}}}}',
    ],
)
def test_invalid_executor_input_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^--executor-input must be the JSON object .* Received: "):
        parse(text)


def test_missing_artifacts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="must have the output artifact 'model'"):
        parse(executor_input(tmp_path), "model")
    for inputs in ({}, {"models": []}):
        with pytest.raises(InvalidInput, match="must have the input artifact 'models'"):
            parse(executor_input(tmp_path, inputs), inputs=("models",))


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ("prepare", "--config {} --dataset out"),
        ("fetch", "--pointer x --remote x --data out"),
        ("train", "--config {} --dataset data --checkpoints c --model out --history h --samples s"),
        ("evaluate", "--config {} --real data --generated data --scores out"),
        ("register", "--config {} --model data --scores data --registration out"),
        ("choose", "--config {} --model out --scores s"),
    ],
)
def test_every_step_checks_its_executor_input_first(stage: str, options: str, tmp_path: Path, monkeypatch) -> None:
    step = importlib.import_module(f"components.{stage}")
    monkeypatch.setattr(sys, "argv", [stage, *options.split(), "--executor-input", '{"outputs": {}}'])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="--executor-input must be the JSON object"):
        step.main()
