"""Registers a generator and makes the registry's decision about it.

Each step first checks whether it is already done, so a registration can be interrupted at any point and run again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.registry import manual_decisions
from components.registry.gate import Decision, decide, require_scored, with_score
from components.registry.model_card import licence, model_card
from components.registry.model_package import served_versions
from components.registry.model_registry import ModelRegistry
from components.registry.registration_lock import registration_lock
from components.storage.bucket import explained
from components.tracking.description import score_text
from components.tracking.failures import answered
from components.tracking.lineage import lineage
from components.tracking.model_name import model_of
from components.tracking.server import connect
from gan_core.evaluation.record_checks import parse_registered
from gan_core.export import generator_digest, read_metadata
from gan_core.output_files import STATE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.registry.gate import Outcome
    from gan_core.config import RegisterConfig
    from gan_core.evaluation.protocol import Evaluation

# A generator that is re-evaluated together with another champion stays the same version. The generator's digest has its
# own tag.
_NOT_IN_THE_IDENTITY = {"champion", "generator_digest"}


def register(config: RegisterConfig, model: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Registers the generator in the folder `model`, with its evaluation, and returns the record of the decision.

    Nothing is registered if the evaluation belongs to another generator or has impossible values.

    The same generator with the same scores is the same version. A decision that was carried out stays: repeating the
    command changes nothing, even if another version is the champion by now, and the record says `repeated`. The
    decision is made again if the rule has changed, if a refused generator was re-evaluated together with a champion, or
    if the generator's manual demotion has changed.

    Raises:
        InvalidInput: the evaluation, MLflow's address or database, or the artifacts' bucket cannot be used.
        TryAgain: the server or the artifacts' bucket does not answer, or answers wrongly.
    """
    config = with_score(config, evaluation)
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
        # A tag may have 100,000 characters, which the scores of 500 classes exceed.
        "evaluation": evaluation.model_copy(update={"classes": ()}).model_dump_json(exclude={"champion"}),
    }
    if (state := model / STATE_FILE).exists():
        tags["state_digest"] = _digest(state.read_bytes())
    if run_id := origin.get("kfp_run_id"):
        tags["kfp_run_id"] = run_id  # a separate tag, because components.report_status searches for it
    scores = evaluation.model_dump_json(exclude=_NOT_IN_THE_IDENTITY)
    identity = _digest((tags["generator_digest"] + scores).encode())
    # The artifacts may lie in a bucket.
    with answered("register the generator"), explained("the bucket of MLflow's artifacts"):
        registry = ModelRegistry(connect(), config.model_name)
        version = registry.register(identity, model, evaluation, tags)
        registry.keep_card(str(version.version), model_card(config, generator, evaluation, provenance))
        with registration_lock(registry.client, config.model_name, identity) as require_lock:
            version = registry.version(version.version)
            record = _promote(registry, config, evaluation, generator.collapsed, version, require_lock=require_lock)
    return {**record, "data_licence": licence(config, generator.dataset_source)}


def _promote(
    registry: ModelRegistry,
    config: RegisterConfig,
    evaluation: Evaluation,
    collapsed: bool,
    version: Any,
    *,
    require_lock: Callable[[], None],
) -> dict[str, Any]:
    """Decides, records the decision, moves the aliases, and records that they were moved.

    A decision that was recorded but not carried out is kept unless its basis has changed: the rule, the champion, a
    refused generator's re-evaluation together with a champion, or the generator's manual demotion.
    """
    number = str(version.version)
    champion = registry.aliases().get("champion")
    written = version.tags.get("decision", "{}")
    record: dict[str, Any] = json.loads(written)
    compared_with = evaluation.champion.generator_digest if evaluation.champion else None
    reevaluated = record.get("decision") == "refused" and compared_with not in (None, record.get("beside"))
    demoted = manual_decisions.demotion(registry.client, config.model_name, version.tags["generator_digest"])
    same_terms = record.get("rule") == config.rule() and not reevaluated and record.get("demoted_by_hand") == demoted
    if same_terms and version.tags.get("carried_out") == _digest(written.encode()):
        return {**record, "repeated": True}
    if not (same_terms and champion in (record["champion"], number)):
        if champion == number:
            decision = Decision("champion", "It is the champion already.")
        elif demoted:
            decision = Decision(
                "refused", f"{demoted} Only components.promote, run by a person, can make it the champion again."
            )
        else:
            opponent = _evaluation_of(registry, champion, evaluation) if champion else None
            decision = decide(config, evaluation, collapsed, opponent, champion)
        record = {
            "decision": decision.outcome,
            "reason": decision.reason,
            "name": config.model_name,
            "version": number,
            "run_id": version.run_id,
            "score": evaluation.scores[config.score],
            "spread": evaluation.spread[config.score],
            "champion": champion,
            "beside": compared_with,
            "rule": config.rule(),
            "demoted_by_hand": demoted,
        }
        written = json.dumps(record)
        registry.tag(number, "decision", written)
    require_lock()
    _move_aliases(registry, record["decision"], number)
    registry.describe(number, f"{record['decision'].capitalize()}. {record['reason']}", evaluation, config.score)
    registry.tag(number, "carried_out", _digest(written.encode()))
    return {**record, "repeated": False}


def _evaluation_of(registry: ModelRegistry, number: str, candidate: Evaluation) -> Evaluation | None:
    """Returns the evaluation of the champion, version `number`, with which to compare the candidate's.

    New data changes the protocol: its reference images differ, and so does a classifier that was trained on them.

    Returns:
        The champion's evaluation under the candidate's protocol if both were evaluated together. Otherwise the
        evaluation that it was registered with; None if that is missing, malformed or impossible.
    """
    tags = registry.version(number).tags
    together = candidate.champion
    if together and together.generator_digest == tags.get("generator_digest"):
        return candidate.model_copy(update=together.model_dump(exclude={"generator_digest"}))
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
