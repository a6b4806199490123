"""The requests that Kubeflow's own `kfp` command sends for the compiled file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from kubeflow_server import KubeflowServer

from pipelines import package

KFP = shutil.which("kfp", path=str(Path(sys.executable).parent)) or "kfp"


def kfp(server: KubeflowServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([KFP, "--endpoint", server.host, *arguments], capture_output=True, text=True, check=False)


def test_kfp_submits_the_compiled_file_unchanged(server: KubeflowServer, compiled: Path) -> None:
    done = kfp(server, "run", "submit", "-e", "gan", "-f", str(compiled))
    assert done.returncode == 0, done.stderr
    (_, experiments, experiment), (_, runs, body) = server.calls
    assert (experiments, runs, experiment["display_name"]) == ("/experiments", "/runs", "gan")
    assert body["runtime_config"] == {"parameters": {}}
    assert body["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]["train"]["defaultValue"]
    assert "kubernetes" in body["pipeline_spec"]["platform_spec"]["platforms"]


def test_inputs_of_every_kind_arrive_with_their_type(server: KubeflowServer, compiled: Path) -> None:
    train = package.sections(package.read(compiled))["train"] | {"steps": 20000}
    pointer = "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: cats\n"
    inputs = {"data_pointer": pointer, "data_remote": "gs://bucket/dvc"}
    done = kfp(
        *(server, "run", "create", "-e", "Default", "-r", "cats", "-f", str(compiled)),
        *(f"train={json.dumps(train)}", *(f"{name}={value}" for name, value in inputs.items())),
    )
    assert done.returncode == 0, done.stderr
    ((_, _, body),) = server.calls
    assert body["display_name"] == "cats"
    assert body["runtime_config"]["parameters"] == {"train": train, **inputs}


def test_an_input_that_looks_like_a_number_is_refused_by_the_server(server: KubeflowServer, compiled: Path) -> None:
    """kfp guesses the type from the value and ignores the declared one."""
    done = kfp(server, "run", "submit", "-e", "Default", "-f", str(compiled), "data_remote=0123")
    assert done.returncode != 0
    assert "data_remote requires type string" in done.stdout + done.stderr
