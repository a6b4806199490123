"""Registration, against a real registry on sqlite."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from evaluations import evaluation, generator
from mlflow.exceptions import MlflowException
from tracking_server import Proxy, TrackingServer

from components import register as register_module
from components.register import register
from components.registry import model_registry
from components.registry import registration_lock as turn_module
from components.tracking.scores import log_evaluation
from components.tracking.server import connect, experiment_id
from gan_core.config import RegisterConfig
from gan_core.errors import InvalidInput, TryAgain
from gan_core.evaluation.protocol import ChampionScores, ClassScores, Evaluation
from gan_core.export import MODEL_FILE, generator_digest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = RegisterConfig(model_name="generator", score="fd_classifier", minimum_improvement=0.1, spread_multiplier=2.0)

pytestmark = [
    pytest.mark.usefixtures("project"),
    # MLflow's own modules, while they are imported and when they look at an input example.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


def register_scores(name: str, score: float, spread: float, **protocol: object) -> dict[str, Any]:
    """Registers a generator of its own, of a training of its own."""
    client = connect()
    run_id = client.create_run(experiment_id(client), run_name=name).info.run_id
    return register(CONFIG, generator(Path(name), run_id), evaluation(score, spread, run_id, **protocol))


def registry() -> tuple[dict[str, str], int]:
    """The aliases, and how many versions there are."""
    client = connect()
    aliases = {alias: str(number) for alias, number in client.get_registered_model("generator").aliases.items()}
    return aliases, len(client.search_model_versions("name = 'generator'"))


def test_four_cases() -> None:
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


def test_a_version_belongs_to_its_training_and_tells_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_scores_that_are_no_good_are_refused_before_anything_is_registered() -> None:
    folder = generator(Path("first"))
    scores = evaluation(100.0, 3.0)
    (folder / MODEL_FILE).write_bytes(b"other weights")
    with pytest.raises(InvalidInput, match="as it is now"):
        register(CONFIG, folder, scores)
    assert not connect().search_registered_models()
    assert not connect().search_runs([experiment_id(connect())])


def test_a_champion_whose_recorded_figures_cannot_be_true_does_not_count() -> None:
    first = register_scores("first", 100.0, 3.0)
    broken = json.dumps(json.loads(evaluation(100.0, 3.0).model_dump_json()) | {"spread": {}})
    connect().set_model_version_tag("generator", first["version"], "evaluation", broken)
    record = register_scores("second", 1.0, 0.0)
    assert record["decision"] == "refused"
    assert "has no record of its evaluation" in record["reason"]


def test_a_thousand_classes_are_registered() -> None:
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


def test_what_an_earlier_version_of_the_project_registered_is_the_same_version() -> None:
    """Its identity was the digest of the generator's digest and the whole record, which had no generator_digest."""
    scores = evaluation(100.0, 3.0)
    record = register(CONFIG, generator(Path("first")), scores)
    text = f"{scores.generator_digest}{scores.model_dump_json(exclude={'champion', 'generator_digest'})}"
    tags = connect().get_model_version("generator", record["version"]).tags
    assert tags["registration"] == f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"


def test_registering_twice_changes_nothing_even_after_another_has_become_the_champion() -> None:
    first = register_scores("first", 100.0, 3.0)
    scores = evaluation(100.0, 3.0, first["run_id"])
    assert not first["repeated"]
    assert register(CONFIG, Path("first"), scores) == {**first, "repeated": True}
    register_scores("better", 50.0, 3.0)
    before = registry()
    assert register(CONFIG, Path("first"), scores) == {**first, "repeated": True}
    assert registry() == before == ({"champion": "2"}, 2)


def test_another_rule_decides_anew_about_the_same_version() -> None:
    register_scores("first", 100.0, 3.0)
    near = register_scores("near", 95.0, 0.1)
    assert near["decision"] == "challenger"
    bolder = CONFIG.model_copy(update={"minimum_improvement": 0.0, "spread_multiplier": 1.0})
    again = register(bolder, Path("near"), evaluation(95.0, 0.1, near["run_id"]))
    assert (again["decision"], again["version"]) == ("champion", "2")
    assert registry() == ({"champion": "2"}, 2)


@pytest.mark.parametrize(
    ("refusal", "error", "said"),
    [
        ("Forbidden", InvalidInput, "must have permission in the bucket"),
        ("ServiceUnavailable", TryAgain, "does not answer"),
    ],
)
def test_a_bucket_of_artifacts_that_fails_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, refusal: str, error: type[Exception], said: str
) -> None:
    from google.api_core import exceptions

    def refuse(*_: object) -> None:
        raise getattr(exceptions, refusal)("No.")

    monkeypatch.setattr(model_registry.ModelRegistry, "_log", refuse)
    with pytest.raises(error, match=f"{said}.*Received: the bucket of MLflow's artifacts"):
        register(CONFIG, generator(Path("first")), evaluation(100.0, 3.0))


def test_a_generator_without_a_run_gets_one_that_says_so_once() -> None:
    folder = generator(Path("orphan"))
    for _ in range(2):
        record = register(CONFIG, folder, evaluation(100.0, 3.0))
    client = connect()
    [run] = client.search_runs([experiment_id(client)])
    assert run.info.run_id == record["run_id"]
    assert "has no run on this server" in run.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(("beside", "decision"), [(50.0, "champion"), (5.0, "challenger"), (None, "refused")])
def test_new_data_is_decided_by_the_champions_scores_under_the_new_protocol(
    beside: float | None, decision: str
) -> None:
    register_scores("first", 1.0, 0.0, reference_digest="sha256-old")
    scored = evaluation(10.0, 0.1, reference_digest="sha256-new")
    if beside is not None:
        theirs = evaluation(beside, 0.1).model_dump(include={"scores", "spread", "standard_errors"})
        champion = ChampionScores(generator_digest=generator_digest(Path("first")), **theirs)
        scored = scored.model_copy(update={"champion": champion})
    record = register(CONFIG, generator(Path("second")), scored)
    assert (record["decision"], record["champion"]) == (decision, "1")
    if beside is None:
        assert "reference_digest: sha256-new, not sha256-old" in record["reason"]
    else:
        assert f"10 ± 0.1 after {beside:.4g} ± 0.1 of version 1" in record["reason"]
    assert registry()[0]["champion"] == ("2" if decision == "champion" else "1")


def test_what_was_refused_for_want_of_the_champions_scores_is_decided_anew_with_them() -> None:
    register_scores("first", 1.0, 0.0, reference_digest="sha256-old")
    second, scored = generator(Path("second")), evaluation(10.0, 0.1, reference_digest="sha256-new")
    assert register(CONFIG, second, scored)["decision"] == "refused"
    assert register(CONFIG, second, scored)["repeated"]
    theirs = evaluation(50.0, 0.1).model_dump(include={"scores", "spread", "standard_errors"})
    champion = ChampionScores(generator_digest=generator_digest(Path("first")), **theirs)
    beside = scored.model_copy(update={"champion": champion})
    again = register(CONFIG, second, beside)
    assert (again["decision"], again["version"], again["repeated"]) == ("champion", "2", False)
    assert register(CONFIG, second, beside) == {**again, "repeated": True}


def test_scores_of_another_champion_do_not_count() -> None:
    register_scores("first", 1.0, 0.0, reference_digest="sha256-old")
    other = ChampionScores(
        generator_digest="sha256-other",
        scores={"fd_classifier": 50.0},
        spread={"fd_classifier": 0.1},
        standard_errors={},
    )
    scored = evaluation(10.0, 0.1, reference_digest="sha256-new").model_copy(update={"champion": other})
    assert register(CONFIG, generator(Path("second")), scored)["decision"] == "refused"


def test_scored_beside_another_champion_it_is_the_same_version() -> None:
    first = register_scores("first", 100.0, 3.0)
    scores = evaluation(100.0, 3.0, first["run_id"])
    beside = ChampionScores(generator_digest="sha256-other", scores={}, spread={}, standard_errors={})
    again = register(CONFIG, Path("first"), scores.model_copy(update={"champion": beside}))
    assert again == {**first, "repeated": True}
    assert registry() == ({"champion": "1"}, 1)


def test_a_champion_that_was_registered_by_hand_is_not_replaced() -> None:
    client = connect()
    client.create_registered_model("generator")
    client.create_model_version("generator", "file:///elsewhere")
    client.set_registered_model_alias("generator", "champion", "1")
    record = register_scores("first", 1.0, 0.0)
    assert (record["decision"], record["champion"]) == ("refused", "1")
    assert registry() == ({"champion": "1"}, 2)


class Interrupted:
    """A client whose n-th call fails, before the server did its work or after."""

    def __init__(self, client: Any, calls: int, after: bool) -> None:
        self._client, self._after = client, after
        self.calls = calls

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls -= 1
            if self.calls == 0 and not self._after:
                raise MlflowException("interrupted")
            answer = getattr(self._client, name)(*arguments, **options)
            if self.calls == 0:
                raise MlflowException("interrupted")
            return answer

        return call


@pytest.mark.parametrize("after", [False, True])
def test_interrupted_at_any_call_and_repeated_it_ends_in_the_same_state(
    after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_scores("first", 1e12, 0.0)
    client = connect()
    calls, completed = 0, False
    while not completed:
        calls += 1
        run_id = client.create_run(experiment_id(client)).info.run_id
        folder, scores = generator(Path(str(calls)), run_id), evaluation(1e12 / 2**calls, 0.0, run_id)
        interrupted = Interrupted(connect(), calls, after)
        with monkeypatch.context() as patch:
            patch.setattr(register_module, "connect", lambda: interrupted)  # noqa: B023
            with contextlib.suppress(TryAgain):
                register(CONFIG, folder, scores)
        completed = interrupted.calls > 0
        record = register(CONFIG, folder, scores)
        assert (record["decision"], record["version"], record["champion"]) == ("champion", str(calls + 1), str(calls))
        assert registry() == ({"champion": str(calls + 1)}, calls + 1)
        models = client.search_logged_models([experiment_id(client)])
        assert [logged.status for logged in models if logged.source_run_id == run_id] == ["READY"]
        assert len(client.get_metric_history(run_id, "scores/fd_classifier")) == 1
    assert calls > 10


def test_two_registrations_of_one_generator_at_once_do_not_spoil_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one takes this one's unfinished logged model for a dead process's and deletes it."""
    save = model_registry.save_served_model

    def meanwhile(*arguments: Any) -> None:
        save(*arguments)
        client = connect()
        experiment = client.get_experiment_by_name("gan-pipeline").experiment_id
        for logged in client.search_logged_models([experiment]):
            client.delete_logged_model(logged.model_id)

    monkeypatch.setattr(model_registry, "save_served_model", meanwhile)
    model = generator(Path("a"))
    with pytest.raises(TryAgain, match="Another process registers the same generator"):
        register(CONFIG, model, evaluation(10.0, 0.1, of=model))
    monkeypatch.setattr(model_registry, "save_served_model", save)
    assert register(CONFIG, model, evaluation(10.0, 0.1, of=model))["version"] == "1"


def test_evaluated_and_registered_again_and_again_a_score_is_one_point() -> None:
    client = connect()
    run_id = client.create_run(experiment_id(client)).info.run_id
    folder, scores = generator(Path("first"), run_id), evaluation(12.5, 0.5, run_id)
    for _ in range(2):
        log_evaluation(scores, None)
        register(CONFIG, folder, scores)
        client.delete_registered_model("generator")  # so that the second registration makes a version again
        [logged] = client.search_logged_models([experiment_id(client)])
        assert {metric.key: metric.value for metric in logged.metrics}["scores/fd_classifier"] == 12.5
        client.delete_logged_model(logged.model_id)
    [point] = client.get_metric_history(run_id, "scores/fd_classifier")
    assert (point.step, point.value) == (64, 12.5)
    log_evaluation(evaluation(11.0, 0.5, run_id), None)  # another evaluation of the same generator
    assert [point.value for point in client.get_metric_history(run_id, "scores/fd_classifier")] == [12.5, 11.0]


def test_a_registration_waits_for_one_that_is_moving_the_alias(
    mlflow_server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The better of two generators becomes the champion, also when the worse one's alias is set last of all calls."""

    def start(name: str, score: float, address: str) -> subprocess.Popen[bytes]:
        folder = Path(name)
        run_id = connect().create_run(experiment_id(connect())).info.run_id
        generator(folder / "model", run_id)
        (folder / "params.yaml").write_text(yaml.safe_dump({"register": {**CONFIG.model_dump(), "model_name": "race"}}))
        (folder / "scores.json").write_text(evaluation(score, 0.0, run_id).model_dump_json())
        command = [sys.executable, "-m", "components.register", "--config", "params.yaml", "--model", "model"]
        command += ["--scores", "scores.json", "--registration", "registration.json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": address}
        environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "600"  # the held call is not given up and repeated
        return subprocess.Popen(command, cwd=folder, env=environment)

    def decided() -> int:
        versions = connect().search_model_versions("name = 'race'")
        return sum("decision" in version.tags for version in versions)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "race")
    with Proxy(mlflow_server.port, holds=lambda method, path: method == "POST" and "/alias" in path) as proxy:
        worse = start("worse", 100.0, proxy.address)
        while not proxy.held.wait(0.1):
            assert worse.poll() is None
        better = start("better", 50.0, mlflow_server.address)
        while len(tickets("race")) < 2 and better.poll() is None:
            time.sleep(0.1)
        assert decided() == 1
        proxy.released.set()
        assert (worse.wait(), better.wait()) == (0, 0)
    record = json.loads(Path("better/registration.json").read_text())
    assert (record["decision"], record["champion"]) == ("champion", "1")
    assert connect().get_registered_model("race").aliases == {"champion": record["version"]}
    assert not tickets("race")


def tickets(model: str) -> dict[str, str]:
    return {k: v for k, v in connect().get_registered_model(model).tags.items() if k.startswith("registering.")}


def test_a_registration_that_died_in_its_turn_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_module, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(turn_module, "ASK_EVERY_SECONDS", 0.1)
    client = connect()
    client.create_registered_model("generator", {"registering.sha256-a.1": "7", "registering.sha256-b.1": "choosing"})
    assert register_scores("first", 100.0, 3.0)["decision"] == "champion"
    assert not tickets("generator")


def run_command(**changes: object) -> subprocess.CompletedProcess[str]:
    parameters = CONFIG.model_dump() | changes
    Path("params.yaml").write_text(yaml.safe_dump({"register": parameters}))
    command = [sys.executable, "-m", "components.register", "--config", "params.yaml", "--model", "model"]
    command += ["--scores", "scores.json", "--registration", "registration.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_command_writes_the_decision() -> None:
    generator(Path("model"))
    Path("scores.json").write_text(evaluation(100.0, 3.0).model_dump_json())
    done = run_command()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "generator version 1: champion. There was no champion.\n"
    record = json.loads(Path("registration.json").read_text())
    assert (record["decision"], record["score"], record["spread"]) == ("champion", 100.0, 3.0)
    again = run_command()
    assert again.stdout == f"nothing new, it was registered before: {done.stdout}"


@pytest.mark.parametrize(
    ("changes", "scores", "sentence"),
    [
        ({"score": "precision_classifier"}, evaluation(1.0, 0.0), "'register.score' must name a distance"),
        ({"score": "fid"}, evaluation(1.0, 0.0), "must name a score that was made"),
        ({}, evaluation(float("inf"), 0.0), "must be possible ones. Received: scores.fd_classifier must be finite"),
        ({}, evaluation(1.0, 0.0, "0" * 32), "The scores must be of the generator"),
        ({"model_name": "a/b"}, evaluation(1.0, 0.0), "'register.model_name' must be auto, or a name of"),
    ],
)
def test_a_mistake_is_refused_in_a_sentence(changes: dict[str, object], scores: Evaluation, sentence: str) -> None:
    generator(Path("model"))
    Path("scores.json").write_text(json.dumps(scores.model_dump()))  # pydantic would write infinity as null
    done = run_command(**changes)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert sentence in done.stderr
    assert "Received: " in done.stderr
    assert not Path("registration.json").exists()


@pytest.mark.parametrize("place", ["/dev/zero", "pipe"])
def test_scores_that_are_no_regular_file_are_not_read(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe")
    generator(Path("model"))
    options = ["--config", json.dumps(CONFIG.model_dump()), "--model", "model", "--scores", place]
    monkeypatch.setattr(sys, "argv", ["register", *options, "--registration", "registration.json"])
    with pytest.raises(InvalidInput, match="is not a regular file"):
        register_module.main()


def test_a_server_that_is_away_means_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    generator(Path("model"))
    Path("scores.json").write_text(evaluation(1.0, 0.0).model_dump_json())
    done = run_command()
    assert (done.returncode, done.stderr.count("\n")) == (75, 1), done.stderr
    assert done.stderr.startswith("error: MLflow did not register the generator: ")
    assert not Path("registration.json").exists()
