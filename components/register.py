"""Registers a generator in the MLflow model registry and decides whether it is the champion.

Every step first checks whether it was done already, so the command can be interrupted anywhere and run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import executor
from components.cli.command import run
from components.cli.parameters import read_section
from components.registry import manual_decisions as by_hand
from components.registry.gate import Decision, decide, require_scored
from components.registry.model_package import served_versions
from components.registry.model_registry import ModelRegistry
from components.registry.registration_lock import turn
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.bucket import explained
from components.storage.output_kinds import MOST_BYTES
from components.storage.outputs import whole_output
from components.tracking.description import score_text
from components.tracking.failures import answered
from components.tracking.lineage import lineage
from components.tracking.model_name import model_of
from components.tracking.server import connect
from gan_core.config import RegisterConfig
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.record_checks import parse_registered
from gan_core.export import generator_digest, read_metadata
from gan_core.training.warm_start import STATE_FILE
from gan_core.untrusted_files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.registry.gate import Outcome

# A generator that is re-evaluated together with another champion stays the same version. The generator's digest has a
# tag of its own.
_NOT_IN_THE_IDENTITY = {"champion", "generator_digest"}


def main() -> None:
    """Reads the command line, registers, and writes the decision down."""
    arguments = executor.checked(parser().parse_args())
    config = read_section(arguments.config, "register", RegisterConfig)
    with paths.local_paths(arguments) as local:
        evaluation = _read_evaluation(local.scores)
        with whole_output(local.registration) as written:
            record = register(config, local.model, evaluation)
            written.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    executor.write_output(arguments.executor_input)
    known = "nothing new, it was registered before: " if record["repeated"] else ""
    print(f"{known}{record['name']} version {record['version']}: {record['decision']}. {record['reason']}")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.register", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its register section as a JSON object")
    options.add_argument("--model", required=True, type=paths.input_path, help="folder of the generator")
    options.add_argument("--scores", required=True, type=paths.input_path, help="the evaluation's record, .json")
    options.add_argument(
        "--registration", required=True, type=paths.output(kinds.REGISTRATION), help="output: the decision, .json"
    )
    executor.add_option(options)
    return options


def register(config: RegisterConfig, model: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Registers the generator in the folder `model`, with its evaluation, and returns the record of the decision.

    Nothing is registered unless the evaluation is of exactly this generator and its figures are possible.

    The same generator with the same scores is the same version. A decision that was carried out stays: repeating the
    command changes nothing, even if another version has become the champion since, and the record says `repeated`. The
    decision is made again if the rule has changed, if a refused generator was re-evaluated together with a champion, or
    if the generator's demotion by hand has changed.

    Raises:
        InvalidInput: the evaluation, MLflow's address or database, or the artifacts' bucket cannot be used.
        TryAgain: the server or the artifacts' bucket does not answer, or answers wrongly.
    """
    require_scored(config, model, evaluation)
    generator = read_metadata(model)
    config = config.model_copy(update={"model_name": model_of(config.model_name, generator)})
    origin = lineage()
    provenance = {
        **origin,
        "parameters_digest": _digest(json.dumps(generator.parameters, sort_keys=True).encode()),
        "protocol_digest": _digest(evaluation.protocol.model_dump_json().encode()),
        "data_digest": generator.dataset_digest,
        "versions": generator.versions | served_versions(),
    }
    tags = {
        "score": score_text(evaluation, config.score),
        "provenance": json.dumps(provenance),
        "generator_digest": generator_digest(model),
        # A tag holds 100,000 characters, which the figures of 500 classes exceed.
        "evaluation": evaluation.model_copy(update={"classes": ()}).model_dump_json(exclude={"champion"}),
    }
    if (state := model / STATE_FILE).exists():
        tags["state_digest"] = _digest(state.read_bytes())
    if run_id := origin.get("kfp_run_id"):
        tags["kfp_run_id"] = run_id  # a tag besides provenance, since components.report_status searches for it
    scores = evaluation.model_dump_json(exclude=_NOT_IN_THE_IDENTITY)
    identity = _digest((tags["generator_digest"] + scores).encode())
    # The artifacts may lie in a bucket.
    with answered("register the generator"), explained("the bucket of MLflow's artifacts"):
        registry = ModelRegistry(connect(), config.model_name)
        version = registry.register(identity, model, evaluation, tags)
        with turn(registry.client, config.model_name, identity) as require_turn:
            version = registry.version(version.version)
            return _promote(registry, config, evaluation, generator.collapsed, version, require_turn=require_turn)


def _read_evaluation(path: Path) -> Evaluation:
    try:
        return Evaluation.parse(read_bytes(path, MOST_BYTES), str(path))
    except OSError as error:
        raise InvalidInput(
            f"--scores must be a file that components.evaluate wrote: {error.strerror}. Received: {path}"
        ) from None


def _promote(
    registry: ModelRegistry,
    config: RegisterConfig,
    evaluation: Evaluation,
    collapsed: bool,
    version: Any,
    *,
    require_turn: Callable[[], None],
) -> dict[str, Any]:
    """Decides, writes the decision down, moves the aliases, and notes that they were moved.

    A decision that was written down but not carried out still holds, unless its basis has changed: the rule, the
    champion, a refused generator's re-evaluation together with a champion, or the generator's demotion by hand.
    """
    number = str(version.version)
    champion = registry.aliases().get("champion")
    written = version.tags.get("decision", "{}")
    record: dict[str, Any] = json.loads(written)
    beside = evaluation.champion.generator_digest if evaluation.champion else None
    refused_before = record.get("decision") == "refused" and beside not in (None, record.get("beside"))
    demoted = by_hand.demotion(registry.client, config.model_name, version.tags["generator_digest"])
    same_terms = (
        record.get("rule") == config.model_dump() and not refused_before and record.get("demoted_by_hand") == demoted
    )
    if same_terms and version.tags.get("carried_out") == _digest(written.encode()):
        return {**record, "repeated": True}
    if not (same_terms and champion in (record["champion"], number)):
        if champion == number:
            decision = Decision("champion", "It is the champion already.")
        elif demoted:
            decision = Decision("refused", f"{demoted} Only a hand makes it the champion: components.promote.")
        else:
            theirs = _evaluation_of(registry, champion, evaluation) if champion else None
            decision = decide(config, evaluation, collapsed, theirs, champion)
        record = {
            "decision": decision.outcome,
            "reason": decision.reason,
            "name": config.model_name,
            "version": number,
            "run_id": version.run_id,
            "score": evaluation.scores[config.score],
            "spread": evaluation.spread[config.score],
            "champion": champion,
            "beside": beside,
            "rule": config.model_dump(),
            "demoted_by_hand": demoted,
        }
        written = json.dumps(record)
        registry.tag(number, "decision", written)
    require_turn()
    _move_aliases(registry, record["decision"], number)
    registry.describe(number, f"{record['decision'].capitalize()}. {record['reason']}", evaluation, config.score)
    registry.tag(number, "carried_out", _digest(written.encode()))
    return {**record, "repeated": False}


def _evaluation_of(registry: ModelRegistry, number: str, candidate: Evaluation) -> Evaluation | None:
    """The evaluation of the champion, version `number`, to compare the candidate's with.

    New data changes the protocol: its reference images differ, and so does a classifier that was trained on them.

    Returns:
        The champion's evaluation under the candidate's protocol if both were evaluated together. Otherwise the
        evaluation that it was registered with; None if that is missing, malformed or impossible.
    """
    tags = registry.version(number).tags
    beside = candidate.champion
    if beside and beside.generator_digest == tags.get("generator_digest"):
        return candidate.model_copy(update=beside.model_dump(exclude={"generator_digest"}))
    return parse_registered(tags.get("evaluation", ""))


def _move_aliases(registry: ModelRegistry, outcome: Outcome, number: str) -> None:
    if outcome == "champion":
        registry.set_alias("champion", number)
    if outcome == "challenger":
        registry.set_alias("challenger", number)
    else:
        registry.remove_alias("challenger", number)


def _digest(content: bytes) -> str:
    return f"sha256-{hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    run(main)
