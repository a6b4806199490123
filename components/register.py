"""Registers a generator in the MLflow model registry and decides whether it is the champion.

Every step looks first whether it was done, so the command can be interrupted anywhere and run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
from pathlib import Path
from typing import Any

from components.command import read_section, run, whole_output
from components.gate import Decision, decide
from components.lineage import lineage
from components.mlflow_server import configure_mlflow, connect, create_run, explain, has_run
from components.model_package import save_served_model, served_versions
from components.spool import now_milliseconds
from gan_core.config import RegisterConfig
from gan_core.errors import InvalidInput, TryAgain
from gan_core.evaluation.protocol import Evaluation
from gan_core.export import METADATA_FILE, MODEL_FILE, GeneratorMetadata, read_metadata


def register(config: RegisterConfig, model: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Registers the generator in the folder `model` and returns the record of the decision.

    The same generator with the same scores is the same version. A decision that was carried out stays: repeating the
    command changes nothing, even when another version has become the champion since.

    Raises:
        InvalidInput: the scores are not this generator's, or lack the one that decides.
    """
    generator = read_metadata(model)
    _check(config, generator, evaluation)
    digests = {
        "generator_digest": _digest((model / METADATA_FILE).read_bytes() + (model / MODEL_FILE).read_bytes()),
        "parameters_digest": _digest(json.dumps(generator.parameters, sort_keys=True).encode()),
        "protocol_digest": _digest(evaluation.protocol.model_dump_json().encode()),
        "data_digest": generator.dataset_digest,
    }
    identity = _digest((digests["generator_digest"] + evaluation.model_dump_json()).encode())
    client = connect()
    _ensure_registered_model(client, config.model_name)
    version = _find_version(client, config.model_name, identity)
    if version is None:
        logged = _log_model(client, model, generator, evaluation, identity)
        tags = {**lineage(), **digests, "versions": json.dumps(generator.versions | served_versions())}
        client.create_model_version(
            config.model_name,
            logged.artifact_location,
            run_id=logged.source_run_id,
            tags={**tags, "evaluation": evaluation.model_dump_json(), "registration": identity},
            model_id=logged.model_id,
        )
        version = _find_version(client, config.model_name, identity)
    return _promote(client, config, evaluation, version)


def _check(config: RegisterConfig, generator: GeneratorMetadata, evaluation: Evaluation) -> None:
    scored, registered = (
        f"the run {record.tracking_run_id} after {record.images_seen} images" for record in (evaluation, generator)
    )
    if scored != registered:
        raise InvalidInput(
            f"The scores must be of the generator that is registered. Received: scores of {scored}, "
            f"a generator of {registered}"
        )
    if not math.isfinite(evaluation.scores.get(config.score, math.nan)):
        raise InvalidInput(
            "The parameter 'register.score' must name a score that was made and is finite. "
            f"Received: register.score={config.score!r}, scores={evaluation.scores}"
        )


def _ensure_registered_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _find_version(client: Any, name: str, identity: str) -> Any:
    """The version with this identity, or None. If a repeated call made it twice, the older one stays."""
    found = client.search_model_versions(f"name = '{name}' and tags.registration = '{identity}'")
    numbers = sorted(int(version.version) for version in found)
    for repeated in numbers[1:]:
        client.delete_model_version(name, str(repeated))
    return client.get_model_version(name, str(numbers[0])) if numbers else None


def _log_model(client: Any, model: Path, generator: GeneratorMetadata, evaluation: Evaluation, identity: str) -> Any:
    """Logs the generator to the run of its training; where that has none, to a run made for it."""
    from mlflow.entities import LoggedModelOutput, Metric
    from mlflow.models import Model

    run_id = generator.tracking_run_id
    if run_id is None or not has_run(client, run_id):
        note = "The training of this generator has no run on this server, so the registration made this one."
        tags = {**lineage(), "mlflow.note.content": note}
        run_id = create_run(client, ("registration", identity), tags, now_milliseconds())
        client.set_terminated(run_id)
    experiment = client.get_run(run_id).info.experiment_id
    for logged in client.search_logged_models([experiment], f"tags.registration = '{identity}'"):
        if logged.status == "READY":
            return logged
        client.delete_logged_model(logged.model_id)
    logged = client.create_logged_model(experiment, "generator", run_id, {"registration": identity})
    with tempfile.TemporaryDirectory() as folder:
        described = Model(logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id)
        save_served_model(Path(folder) / "model", model, generator, described)
        client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
    step, now = evaluation.images_seen, now_milliseconds()
    scores = {f"scores.{name}": value for name, value in evaluation.scores.items()}
    client.log_batch(run_id, [Metric(*score, now, step, model_id=logged.model_id) for score in scores.items()])
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step)])
    return client.finalize_logged_model(logged.model_id, "READY")


def _promote(client: Any, config: RegisterConfig, evaluation: Evaluation, version: Any) -> dict[str, Any]:
    """Decides, writes the decision down, moves the aliases, and notes that they were moved.

    A decision that is written down holds, unless the rule or the champion it was made against has changed since and
    it was not carried out.
    """
    name, number = config.model_name, str(version.version)
    champion_number = _aliases(client, name).get("champion")
    written = version.tags.get("decision", "{}")
    record: dict[str, Any] = json.loads(written)
    if record.get("rule") == config.model_dump():
        if version.tags.get("carried_out") == _digest(written.encode()):
            return record
        holds = champion_number == number or champion_number == (record["champion"] or {}).get("version")
    else:
        holds = False
    if not holds:
        record = _record(client, config, evaluation, version, champion_number)
        written = json.dumps(record)
        client.set_model_version_tag(name, number, "decision", written)
    if record["decision"] == "champion":
        client.set_registered_model_alias(name, "champion", number)
    if record["decision"] == "challenger":
        client.set_registered_model_alias(name, "challenger", number)
    elif _aliases(client, name).get("challenger") == number:
        client.delete_registered_model_alias(name, "challenger")
    client.set_model_version_tag(name, number, "carried_out", _digest(written.encode()))
    return record


def _aliases(client: Any, name: str) -> dict[str, str]:
    return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}


def _record(
    client: Any, config: RegisterConfig, evaluation: Evaluation, version: Any, champion_number: str | None
) -> dict[str, Any]:
    champion = None
    if champion_number == str(version.version):
        decision = Decision("champion", "It is the champion already.")
    elif champion_number is None:
        decision = decide(config, evaluation, None, "")
    else:
        text = client.get_model_version(config.model_name, champion_number).tags.get("evaluation")
        if text is None:
            decision = Decision("refused", f"The champion, version {champion_number}, has no record of its evaluation.")
        else:
            other = Evaluation.parse(text, f"the champion, version {champion_number}")
            decision = decide(config, evaluation, other, champion_number)
            champion = {
                "version": champion_number,
                "score": other.scores.get(config.score),
                "spread": other.spread.get(config.score),
            }
    return {
        "decision": decision.outcome,
        "reason": decision.reason,
        "name": config.model_name,
        "version": str(version.version),
        "run_id": version.run_id,
        "score": evaluation.scores[config.score],
        "spread": evaluation.spread[config.score],
        "champion": champion,
        "rule": config.model_dump(),
    }


def _digest(content: bytes) -> str:
    return f"sha256-{hashlib.sha256(content).hexdigest()}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m components.register", description=__doc__)
    parser.add_argument("--config", required=True, help="params.yaml, or its section 'register' as a JSON object")
    parser.add_argument("--model", required=True, type=Path, help="the generator, a folder")
    parser.add_argument("--scores", required=True, type=Path, help="the record of its evaluation")
    parser.add_argument("--registration", required=True, type=Path, help="the decision, a JSON file to write")
    arguments = parser.parse_args()
    config = read_section(arguments.config, "register", RegisterConfig)
    try:
        evaluation = Evaluation.parse(arguments.scores.read_text(encoding="utf-8"), str(arguments.scores))
    except OSError as error:
        raise InvalidInput(
            f"--scores must be a file that components.evaluate wrote: {error.strerror}. Received: {arguments.scores}"
        ) from None
    read_metadata(arguments.model)
    with whole_output(arguments.registration) as written:
        record = _register_or_try_again(config, arguments.model, evaluation)
        written.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{record['name']} version {record['version']}: {record['decision']}. {record['reason']}")


def _register_or_try_again(config: RegisterConfig, model: Path, evaluation: Evaluation) -> dict[str, Any]:
    configure_mlflow()
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        return register(config, model, evaluation)
    except (MlflowException, RequestException) as error:
        raise TryAgain(f"MLflow did not register the generator: {explain(error)} Run the same command again.") from None


if __name__ == "__main__":
    run(main)
