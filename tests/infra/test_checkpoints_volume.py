"""The volumes of checkpoints and of data: the claims, and the job that makes them writable for the steps' user."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import INFRA, ROOT, Objects, kubectl

MANIFEST = INFRA / "k8s/base/training/checkpoints.yaml"


@pytest.fixture(params=["local", "gke"])
def objects(request: pytest.FixtureRequest, render: Callable[..., Objects]) -> Objects:
    return render(request.param)


def pod(objects: Objects) -> dict[str, Any]:
    (job,) = [item for item in objects if item["metadata"]["name"] == "gan-checkpoints-writable"]
    assert job["spec"]["suspend"] is True
    template: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return template


@pytest.mark.parametrize("profile", ["small", "cpu", "gpu"])
def test_the_claim_of_a_profile_exists_in_the_steps_namespace(profile: str, objects: Objects) -> None:
    values = yaml.safe_load((INFRA / f"profiles/{profile}.yaml").read_text())
    (claim,) = [
        item
        for item in objects
        if (item["kind"], item["metadata"].get("namespace")) == ("PersistentVolumeClaim", "kubeflow")
    ]
    assert claim["metadata"]["name"] == values["checkpoints_claim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert pod(objects)["volumes"][0]["persistentVolumeClaim"] == {"claimName": values["checkpoints_claim"]}


def test_the_job_has_the_user_and_the_group_of_the_steps(objects: Objects) -> None:
    """A pod that names no group has group 0, whatever its image says."""
    (user,) = re.findall(r"(?m)^USER (\d+):\d+$", (ROOT / "Dockerfile").read_text())
    context = pod(objects)["securityContext"]
    assert (context["runAsUser"], context.get("runAsGroup"), context["fsGroup"]) == (int(user), None, 0)


def test_the_job_also_mounts_the_volume_of_the_data(render: Callable[..., Objects]) -> None:
    for overlay in ("local", "gke"):
        objects = render(overlay, "data")
        (claim,) = [item for item in objects if item["metadata"]["name"] == "gan-data"]
        assert (claim["kind"], claim["metadata"]["namespace"]) == ("PersistentVolumeClaim", "kubeflow")
        volumes = {one["name"]: one["persistentVolumeClaim"]["claimName"] for one in pod(objects)["volumes"]}
        assert volumes == {"checkpoints": "gan-checkpoints", "data": "gan-data"}
        (container,) = pod(objects)["containers"]
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert mounts == {"checkpoints": "/volumes/checkpoints", "data": "/volumes/data"}


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can enter; those above `tmp_path` are closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("mode", "code"), [(0o2775, 0), (0o755, 1)])
def test_the_jobs_own_command_says_whether_its_user_can_write(
    mode: int, code: int, public_folder: Path, render: Callable[..., Objects]
) -> None:
    folder = public_folder / "checkpoints"
    folder.mkdir()
    folder.chmod(mode)
    (container,) = pod(render("local"))["containers"]
    command = [*container["command"], *(text.replace("/volumes", str(public_folder)) for text in container["args"])]
    done = subprocess.run(
        ["setpriv", "--reuid=65532", "--regid=0", "--clear-groups", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: User 65532 cannot write the volume checkpoints, because" if code else "")
    assert len(done.stderr.splitlines()) == code


def test_the_patch_in_the_comment_sets_the_size(manifests: Path) -> None:
    lines = [line.removeprefix("# ") for line in MANIFEST.read_text().splitlines() if line.startswith("#   ")]
    folder = manifests / "k8s" / "larger"
    folder.mkdir()
    patches = yaml.safe_load("\n".join(lines))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["../overlays/local"], **patches}))
    sizes = {
        item["metadata"]["name"]: item["spec"]["resources"]["requests"]["storage"]
        for item in yaml.safe_load_all(kubectl("kustomize", folder))
        if item["kind"] == "PersistentVolumeClaim"
    }
    assert sizes["gan-checkpoints"] == "100Gi"


@pytest.mark.parametrize("page", ["docs/infra.md", "docs/kubeflow.md", "components/storage/volume.py"])
def test_the_line_that_starts_the_job_names_it(page: str) -> None:
    (line,) = re.findall(r"(?m)^# (kubectl .*create job .*)$", MANIFEST.read_text())
    assert line in (ROOT / page).read_text()
    assert shlex.split(line)[5] == "--from=cronjob/gan-checkpoints-writable"
