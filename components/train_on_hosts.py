"""Trains as components.train does, on the hosts of a TrainJob of Kubeflow Trainer; a pipeline's step runs it.

The step's pod prepares the TrainJob, follows it, prints the log of the first host, and brings the outputs. If the pod
is lost, its next try finds the same TrainJob. If the run is cancelled or fails, components.report_status deletes the
TrainJob: Kubeflow gives a cancelled step no time. If a host is lost, JobSet starts all hosts again, and they continue
from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from typing import Any

from components import executor
from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage import paths
from components.storage.outputs import Output
from components.train import parser as train_parser
from components.trainer.exchange import Exchange
from components.trainer.follow import HostsFailed, follow
from components.trainer.jobs import Cluster, TrainJob
from components.trainer.rendezvous import variables
from components.training.build import fitted, version_to_start_from
from gan_core.errors import InvalidInput, TryAgain
from gan_core.exit_codes import run
from gan_core.printing import fail

_RUN_CHARACTERS = 8  # of the Kubeflow run's identifier, in the TrainJob's name
_logger = logging.getLogger(__name__)


def main() -> None:
    """Reads the command line and trains."""
    given = executor.checked(parser().parse_args())
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    run_id = os.environ.get("KFP_RUN_ID", "")
    if not run_id:
        raise InvalidInput("The environment variable KFP_RUN_ID must name the Kubeflow run. Received: none")
    with paths.local_paths(given) as local:
        _train(local, _manifest(given.job), run_id)
    executor.write_output(given.executor_input)


def _train(arguments: argparse.Namespace, manifest: dict[str, Any], run_id: str) -> None:
    trainer = manifest["spec"]["trainer"]
    key, steps = _key(arguments, trainer)
    job = TrainJob(f"gan-{key}-{steps}-{run_id[:_RUN_CHARACTERS]}", Cluster())
    outputs = {name: value for name, value in vars(arguments).items() if isinstance(value, Output)}
    exchange = Exchange(arguments.checkpoints, job.name)
    places = exchange.places(outputs) | {"dataset": exchange.offer(arguments.dataset)}
    trainer["command"] = ["python", "-m", "components.train"]
    trainer["args"] = _options(arguments, places)
    shared = variables(job.name, trainer["numNodes"]) | {"KFP_RUN_ID": run_id}
    trainer["env"] = [*trainer["env"], *({"name": name, "value": value} for name, value in shared.items())]
    attached = job.ensure(manifest, run_id)
    _logger.info("The TrainJob %s %s.", job.name, "of an earlier try is followed" if attached else "is created")
    try:
        follow(job, time.sleep)
    except HostsFailed as error:
        fail(1, error)
    if not exchange.has(outputs):  # an earlier try took them, and was lost before Kubeflow had them
        job.delete()
        raise TryAgain(f"The TrainJob {job.name} has no outputs any more. The next try creates it again.")
    exchange.collect(outputs)
    exchange.remove()


def _key(arguments: argparse.Namespace, trainer: dict[str, Any]) -> tuple[str, int]:
    """Checks that the training can run on the hosts; returns the key of its checkpoints and its steps.

    The hosts resolve the parameters for their own devices, which this pod does not have: several never use XLA, and
    mixed precision is for GPUs.
    """
    from components.registry.warm_start import find_initial
    from gan_core.config import TrainConfig
    from gan_core.data.prepared import PreparedDataset

    config = read_section(arguments.config, TrainConfig)
    if config.distribution not in ("auto", "multi_worker") or config.xla == "on":
        raise InvalidInput(
            "Several hosts need train.distribution auto or multi_worker, and train.xla auto or off. "
            f"Received: distribution={config.distribution}, xla={config.xla}"
        )
    dataset = PreparedDataset(arguments.dataset)
    config, _, _ = fitted(config, dataset)
    initial = find_initial(version_to_start_from(config.warm_start, arguments.champion, dataset))
    configure_tensorflow()

    from components.training.code_digests import code_digests
    from components.training.identity import identify
    from gan_core.training.distribution import check_replicas

    gpus = [int(number) for name, number in trainer["resourcesPerNode"]["limits"].items() if "/" in name]
    check_replicas(config.batch_size, config.accumulation_steps, trainer["numNodes"] * sum(gpus or [1]))
    mixed = config.mixed_precision == "on" or (config.mixed_precision == "auto" and bool(gpus))
    code = code_digests()
    identity = identify(config, dataset.manifest.digest, initial.digest, code, xla=False, mixed_precision=mixed)
    return identity.key, config.steps


def _options(arguments: argparse.Namespace, places: dict[str, str]) -> list[str]:
    """Returns the options of components.train on a host."""
    given = {"config": arguments.config, "checkpoints": arguments.checkpoints, "champion": arguments.champion} | places
    return [
        word
        for name, value in given.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]


def _manifest(text: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(text)
        trainer = document["spec"]["trainer"]
        if document["kind"] == "TrainJob" and isinstance(trainer["env"], list) and int(trainer["numNodes"]) > 1:
            return document
    except (ValueError, RecursionError, KeyError, TypeError):
        pass
    raise InvalidInput(f"--job must be a TrainJob with several hosts, as a JSON object. Received: {text[:200]}")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = train_parser()
    options.prog, options.description = "python -m components.train_on_hosts", __doc__
    options.add_argument("--job", required=True, metavar="JSON", help="the TrainJob, without its name and command")
    return options


if __name__ == "__main__":
    run(main)
