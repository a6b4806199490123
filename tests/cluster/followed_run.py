"""A run on the cluster, started and followed by the project's own command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubectl import NAMESPACE, NODE_NAME, kubectl, log, pods, wait_for

from pipelines.follow import FINAL_STATES
from pipelines.server import connected

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 1200.0  # seconds after which a run that has not ended fails its test
TINY = (
    *("prepare.source=digits", "prepare.image.height=16", "prepare.image.width=16"),
    *("train.steps=200", "train.latent_size=8", "train.generator_width=8", "train.discriminator_width=8"),
    *("train.batch_size=32", "train.log_every_images=320", "train.samples_every_images=3200"),
    *("train.score_every_images=0", "train.checkpoint_every_seconds=3"),
    *("evaluate.samples=300", "evaluate.sampling_seeds=2", "evaluate.kid_subsets=10", "evaluate.kid_subset_size=100"),
)
# A training that lasts long enough to be disturbed, and the images seen at which its history has figures.
LONG = ("train.steps=2400", "train.log_every_images=3840", "train.samples_every_images=38400")
LONG_FIGURES = list(range(3840, 76801, 3840))
# As long again, for two trainings that must meet.
LONGER = ("train.steps=4800", "train.log_every_images=7680", "train.samples_every_images=76800")
LONGER_FIGURES = list(range(7680, 153601, 7680))
# Four times as long, for a training that is interrupted three times.
FOURFOLD = ("train.steps=9600", "train.log_every_images=15360", "train.samples_every_images=153600")
FOURFOLD_FIGURES = list(range(15360, 307201, 15360))
RESUMES = "The training resumes after "


def write_profile(folder: Path, **changes: Any) -> Path:
    """Writes the profile under test with changes to its keys, such as `train={"memory_limit": "300Mi"}`."""
    import yaml

    given = Path(os.environ.get("TEST_CLUSTER_PROFILE") or ROOT / "infra/profiles/small.yaml")
    values = yaml.safe_load(given.read_text(encoding="utf-8")) | {"retry_after_seconds": 10}
    for key, change in changes.items():
        values[key] = values[key] | change if isinstance(change, dict) else change
    written = folder / "cluster-test.yaml"
    written.write_text(yaml.safe_dump(values), encoding="utf-8")
    return written


def compile_pipeline(kind: str, image: str, profile: Path, *options: str) -> Path:
    """Compiles a pipeline with a tiny training; returns the file, which lies next to the profile."""
    output = profile.with_name(f"{kind}.yaml")
    command = ["compile", kind, "--image", image, "--profile", str(profile), "--output", str(output)]
    pipelines(*command, *overrides(TINY), *options)
    return output


def pipelines(*arguments: str, folder: Path = ROOT) -> str:
    """Runs one of the project's commands, which must succeed, and returns what it prints."""
    answer = subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def overrides(values: Sequence[str]) -> list[str]:
    """Returns the options that set parameters."""
    return [word for value in values for word in ("-S", value)]


def new_seed() -> str:
    """Returns an override that makes the training one that no cache has."""
    return f"train.seed={int.from_bytes(os.urandom(3), 'big')}"


class FollowedRun:
    """A run that `submit --wait` follows in a process of its own, which writes to the file `log`."""

    def __init__(self, compiled: Path, profile: Path, log: Path, *options: str) -> None:
        self._log = log
        command = ["submit", "--file", str(compiled), "--profile", str(profile), "--wait", *options]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipelines", *command], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
            )
        self.run_id = wait_for("the address of the run", self._find_id, 60)

    def _find_id(self) -> str | None:
        found = re.search(r"/#/runs/details/(\S+)", self.output)
        assert found or self._process.poll() is None, self.output
        return found[1] if found else None

    @property
    def output(self) -> str:
        """Everything that the command has printed."""
        return self._log.read_text(encoding="utf-8")

    @property
    def lines(self) -> list[str]:
        """The lines about steps that have ended or will not run, without times."""
        pattern = re.compile(r"^([\w-]+(, trial \d+[^:]*)?: (?!running)[a-z ]+(, \d[nrt][dh] try)?)", re.MULTILINE)
        return [found[1] for found in pattern.finditer(self.output)]

    def ended(self, seconds: float = LONGEST) -> int:
        """Waits for the end of the command and returns its exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run did not end within {seconds:g} s:\n{self.output}") from None

    def succeeded(self) -> None:
        """Waits for the end, which must be a success."""
        assert self.ended() == 0, self.output

    def cancel(self) -> None:
        """Cancels the run, as a person does on Kubeflow's page."""
        with connected(None, NAMESPACE) as client:
            client.terminate_run(self.run_id)

    def end(self) -> None:
        """Cancels the run if it has not ended, and ends the command."""
        if state_of(self.run_id) not in FINAL_STATES:
            self.cancel()
        self._process.kill()
        self._process.wait()

    def pods(self, node: str = "") -> list[dict[str, Any]]:
        """Returns the pods of the node `train` (its tries, in order), of `train-driver`, or all."""
        pattern = re.compile(rf"\.{node}(\(\d+\)\.executor)?\(\d+\)$" if node else "")
        found = [
            pod
            for pod in pods(f"pipeline/runid={self.run_id}")
            if pattern.search(pod["metadata"]["annotations"].get(NODE_NAME, ""))
        ]
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def unfinished_pod(self, node: str, line: str = "", seconds: float = 600, *, other_than: Sequence[str] = ()) -> str:
        """Waits for a pod of a node that has not ended and, if `line` is given, has it in its log; returns its name.

        `other_than` are names of pods that do not count.
        """

        def look() -> str | None:
            assert self._process.poll() is None, self.output
            found = [
                str(pod["metadata"]["name"])
                for pod in self.pods(node)
                if pod["status"]["phase"] in ("Pending", "Running") and pod["metadata"]["name"] not in other_than
            ]
            return found[-1] if found and (not line or line in log(found[-1])) else None

        return wait_for(f"a pod of {node}" + (f" whose log has {line!r}" if line else ""), look, seconds)

    def log_of(self, step: str) -> str:
        """Returns the log of the newest pod of a step."""
        return log(self.pods(step)[-1]["metadata"]["name"])


def state_of(run_id: str) -> str:
    """Returns the state of a run."""
    with connected(None, NAMESPACE) as client:
        return str(client.get_run(run_id).state)


def wait_for_state(run_id: str, state: str, seconds: float = LONGEST) -> None:
    """Waits until a run is in a final state, which must be `state`."""
    ended = wait_for(f"the end of {run_id}", lambda: (s := state_of(run_id)) in FINAL_STATES and s, seconds)
    assert ended == state


def evict_pod(name: str) -> None:
    """Evicts a pod by Kubernetes's own interface, as draining its node does."""
    asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    place = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    kubectl("create", "--raw", place, "--filename", "-", given=json.dumps(asked))


def exhaust_memory(name: str) -> None:
    """Fills the memory of a training's container with small processes, so that the kernel ends the training itself."""
    code = (
        "import os, time\n"
        "for _ in range(32):\n"
        "    if not os.fork():\n"
        "        filling = b'x' * 2**27\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "time.sleep(60)\n"
    )
    ended_with_the_container = (0, 1, 137, 143)
    kubectl("exec", name, "--container", "main", "--", "python", "-c", code, allowed=ended_with_the_container)


def delete_pod(name: str) -> None:
    """Deletes a pod at once, as the loss of its node does. Argo makes it again, or tries the step a second time."""
    kubectl("delete", "pod", name, "--grace-period=0", "--force")
