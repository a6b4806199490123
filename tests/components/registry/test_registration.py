"""Registered versions, in a real registry on sqlite: their tags, runs and scores."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from evaluations import evaluation, generator
from registrations import CONFIG, MARKS, register_scores, registry

from components.registry import model_registry
from components.registry.registration import register
from components.tracking.runs import experiment_id
from components.tracking.scores import log_evaluation
from components.tracking.server import connect
from gan_core.errors import InvalidInput, TryAgain
from gan_core.evaluation.protocol import ClassScores, Evaluation
from gan_core.export import generator_digest
from gan_core.output_files import MODEL_FILE

pytestmark = MARKS


def test_the_gates_decision_moves_the_aliases() -> None:
    first = register_scores("first", 100.0, 3.0)
    assert (first["decision"], first["version"], first["champion"]) == ("champion", "1", None)
    assert registry() == ({"champion": "1"}, 1)

    near = register_scores("near", 89.0, 5.0)
    assert (near["decision"], near["version"], near["champion"]) == ("challenger", "2", "1")
    assert registry() == ({"champion": "1", "challenger": "2"}, 2)

    other = register_scores("other", 1.0, 0.0, samples=10)
    assert (other["decision"], other["version"]) == ("refused", "3")
    assert "samples: 10, not 5000" in other["reason"]
    assert registry() == ({"champion": "1", "challenger": "2"}, 3)

    better = register_scores("better", 80.0, 3.0)
    assert (better["decision"], better["version"], better["champion"]) == ("champion", "4", "1")
    assert registry() == ({"champion": "4", "challenger": "2"}, 4)


def test_a_version_belongs_to_its_training_and_records_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_REVISION", "abc")
    monkeypatch.setenv("GIT_DIRTY", "false")
    monkeypatch.setenv("IMAGE_DIGEST", "sha256:def")
    monkeypatch.setenv("KFP_RUN_ID", "run-7")
    record = register_scores("first", 100.0, 3.0)
    client = connect()
    version = client.get_model_version_by_alias("generator", "champion")
    assert version.run_id == record["run_id"]
    assert client.get_run(version.run_id).info.run_name == "first"
    tags = version.tags
    assert tags["score"] == "fd_classifier 100 ± 3"
    assert version.description.startswith("**Score** fd_classifier 100 ± 3")
    assert version.description.endswith("Champion. There was no champion.")
    assert len(client.search_model_versions("tags.kfp_run_id = 'run-7'")) == 1
    tags |= json.loads(tags["provenance"])
    assert (tags["git_revision"], tags["git_dirty"]) == ("abc", "false")
    assert (tags["image_digest"], tags["kfp_run_id"]) == ("sha256:def", "run-7")
    assert tags["data_digest"] == f"sha256-{'0' * 64}"
    assert Evaluation.parse(tags["evaluation"], "tag") == evaluation(100.0, 3.0, version.run_id)
    assert tags["versions"]["keras"]
    for name in ("generator_digest", "parameters_digest", "protocol_digest"):
        assert tags[name].startswith("sha256-")
    [logged] = client.search_logged_models([experiment_id(client)])
    assert {metric.key: metric.value for metric in logged.metrics}["scores/fd_classifier"] == 100.0


def test_scores_of_a_changed_generator_are_refused_before_anything_is_registered() -> None:
    folder = generator(Path("first"))
    scores = evaluation(100.0, 3.0)
    (folder / MODEL_FILE).write_bytes(b"other weights")
    with pytest.raises(InvalidInput, match="in its current state"):
        register(CONFIG, folder, scores)
    assert not connect().search_registered_models()
    assert not connect().search_runs([experiment_id(connect())])


def test_impossible_figures_of_the_champion_are_not_compared() -> None:
    first = register_scores("first", 100.0, 3.0)
    broken = json.dumps(json.loads(evaluation(100.0, 3.0).model_dump_json()) | {"spread": {}})
    connect().set_model_version_tag("generator", first["version"], "evaluation", broken)
    record = register_scores("second", 1.0, 0.0)
    assert record["decision"] == "refused"
    assert "has no record of its evaluation" in record["reason"]


def test_an_evaluation_of_a_thousand_classes_fits_into_the_tags() -> None:
    scores = {"fd_classifier": 15.06123456789012, "precision_classifier": 0.44512345678}
    classes = [
        ClassScores(name=f"n{label:08d}", real_share=1e-3, generated_share=1 / 1024, scores=scores)
        for label in range(1000)
    ]
    whole = evaluation(100.0, 3.0).model_copy(update={"classes": tuple(classes)})
    assert len(whole.model_dump_json()) > 100_000
    folder = generator(Path("many"), classes=tuple(entry.name for entry in classes), class_shares=(1e-3,) * 1000)
    whole = whole.model_copy(update={"generator_digest": generator_digest(folder)})
    assert register(CONFIG, folder, whole)["decision"] == "champion"
    assert register(CONFIG, folder, whole)["repeated"]
    tags = connect().get_model_version_by_alias("generator", "champion").tags
    assert Evaluation.parse(tags["evaluation"], "tag") == whole.model_copy(update={"classes": ()})


def test_a_version_has_the_same_identity_as_in_earlier_releases() -> None:
    """Earlier releases hashed the generator's digest and the record, which had no generator_digest."""
    scores = evaluation(100.0, 3.0)
    record = register(CONFIG, generator(Path("first")), scores)
    text = f"{scores.generator_digest}{scores.model_dump_json(exclude={'champion', 'generator_digest'})}"
    tags = connect().get_model_version("generator", record["version"]).tags
    assert tags["registration"] == f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("refusal", "error", "sentence"),
    [
        ("Forbidden", InvalidInput, "must have permission in the bucket"),
        ("ServiceUnavailable", TryAgain, "does not answer"),
    ],
)
def test_a_failing_artifact_bucket_gives_one_sentence(
    monkeypatch: pytest.MonkeyPatch, refusal: str, error: type[Exception], sentence: str
) -> None:
    from google.api_core import exceptions

    def refuse(*_: object) -> None:
        raise getattr(exceptions, refusal)("No.")

    monkeypatch.setattr(model_registry.ModelRegistry, "_log", refuse)
    with pytest.raises(error, match=f"{sentence}.*Received: the bucket of MLflow's artifacts"):
        register(CONFIG, generator(Path("first")), evaluation(100.0, 3.0))


def test_a_generator_without_a_run_gets_exactly_one_new_run() -> None:
    folder = generator(Path("orphan"))
    for _ in range(2):
        record = register(CONFIG, folder, evaluation(100.0, 3.0))
    client = connect()
    [run] = client.search_runs([experiment_id(client)])
    assert run.info.run_id == record["run_id"]
    assert "has no run on this server" in run.data.tags["mlflow.note.content"]


def test_repeated_evaluation_and_registration_log_one_point_per_score() -> None:
    client = connect()
    run_id = client.create_run(experiment_id(client)).info.run_id
    folder, scores = generator(Path("first"), run_id), evaluation(12.5, 0.5, run_id)
    for _ in range(2):
        log_evaluation(scores, None)
        register(CONFIG, folder, scores)
        client.delete_registered_model("generator")  # so that the second registration creates a version again
        [logged] = client.search_logged_models([experiment_id(client)])
        assert {metric.key: metric.value for metric in logged.metrics}["scores/fd_classifier"] == 12.5
        client.delete_logged_model(logged.model_id)
    [point] = client.get_metric_history(run_id, "scores/fd_classifier")
    assert (point.step, point.value) == (64, 12.5)
    log_evaluation(evaluation(11.0, 0.5, run_id), None)  # another evaluation of the same generator
    assert [point.value for point in client.get_metric_history(run_id, "scores/fd_classifier")] == [12.5, 11.0]
