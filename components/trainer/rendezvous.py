"""Gives TensorFlow the addresses of a TrainJob's hosts, because Kubeflow Trainer does not for TensorFlow.

JobSet gives the host with index i of the TrainJob JOB the name `JOB-node-0-i.JOB`, where `node` is the name of the
TrainingRuntime's replicated job, and Kubernetes tells each host its index in JOB_COMPLETION_INDEX.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping

from gan_core.errors import InvalidInput

PORT = 2222
"""The port at which TensorFlow's hosts find each other."""
JOB_VARIABLE, HOSTS_VARIABLE = "TRAINJOB_NAME", "TRAINJOB_HOSTS"
_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"


def variables(job: str, hosts: int) -> dict[str, str]:
    """Returns the environment variables from which each host of the TrainJob knows the others."""
    return {JOB_VARIABLE: job, HOSTS_VARIABLE: str(hosts)}


def join(environment: MutableMapping[str, str]) -> None:
    """Sets TF_CONFIG in the environment of a TrainJob's host; does nothing elsewhere. Call it before TensorFlow starts.

    Raises:
        InvalidInput: the variables of the TrainJob are incomplete or wrong.
    """
    if JOB_VARIABLE in environment:
        environment["TF_CONFIG"] = json.dumps(_cluster(environment))


def _cluster(environment: Mapping[str, str]) -> dict[str, object]:
    job = environment[JOB_VARIABLE]
    try:
        hosts, index = int(environment[HOSTS_VARIABLE]), int(environment[_INDEX_VARIABLE])
        if not 0 <= index < hosts:
            raise ValueError
    except (KeyError, ValueError):
        received = {name: environment.get(name) for name in (HOSTS_VARIABLE, _INDEX_VARIABLE)}
        raise InvalidInput(
            f"A host of the TrainJob {job} must know the number of hosts and its own index. Received: {received}"
        ) from None
    workers = [f"{job}-node-0-{number}.{job}:{PORT}" for number in range(hosts)]
    return {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
