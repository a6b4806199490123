"""Processes that train together on several devices or hosts, and print the metrics of each step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

_SCRIPT = Path(__file__).parent / "gan_core" / "training" / "replica.py"
_NONE: Mapping[str, str] = MappingProxyType({})


def start_replicas(
    kind: str,
    devices: int,
    folder: Path,
    steps: int,
    changes: Mapping[str, Any],
    cluster: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = _NONE,
) -> subprocess.Popen[str]:
    """Starts one process that trains until `steps`; replica.py describes the other arguments."""
    variables = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"} | environment
    if cluster:
        variables["TF_CONFIG"] = json.dumps(cluster)
    command = [sys.executable, str(_SCRIPT), kind, str(devices), str(folder), str(steps), json.dumps(changes)]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def metrics_of(*processes: subprocess.Popen[str], replicas: int) -> list[list[dict[str, float]]]:
    """Waits for the processes, and returns the metrics of each step of each process."""
    found = []
    for process in processes:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        answer = json.loads(output)
        assert answer["replicas"] == replicas
        found.append(answer["figures"])
    return found
