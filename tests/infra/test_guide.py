"""The files, objects, outputs of Terraform and commands that docs/infra.md names exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from manifests import INFRA, ROOT, Objects

from pipelines.__main__ import parser

GUIDE = (ROOT / "docs/infra.md").read_text()
LINES = [line for block in re.findall(r"(?ms)^```\n(.*?)^```", GUIDE) for line in block.splitlines()]


def test_every_file_exists() -> None:
    named = set(re.findall(r"\b(?:infra|docs)/[\w./-]+\b", "\n".join(LINES)))
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []
    for link in re.findall(r"\]\((?!#)([^)#]+)", GUIDE):
        assert (ROOT / "docs" / link).exists(), link


def test_every_object_exists(render: Callable[..., Objects]) -> None:
    kinds = {"cronjob": "CronJob", "externalsecret": "ExternalSecret", "deployment": "Deployment", "service": "Service"}
    kinds |= {"inferenceservice": "InferenceService", "statefulset": "StatefulSet"}
    known = {
        (item["metadata"].get("namespace"), item["kind"], item["metadata"]["name"])
        for item in [*render("gke"), *render("local")]
    }
    text = "\n".join(LINES)
    named = re.findall(rf"kubectl -n (mlflow|gan-serving) [^\n]*\b({'|'.join(kinds)})/([\w-]+)", text)
    assert len(named) > 5
    assert [entry for entry in named if (entry[0], kinds[entry[1]], entry[2]) not in known] == []


def test_every_output_exists() -> None:
    outputs = re.findall(r'(?m)^output "(\w+)"', (INFRA / "terraform/outputs.tf").read_text())
    named = set(re.findall(r"infra/terraform output (?:-raw )?(\w+)", GUIDE))
    assert named <= set(outputs)
    assert named >= {"cluster_settings", "get_credentials", "images"}


def test_every_pipelines_command_is_accepted() -> None:
    commands = [line for line in LINES if line.startswith("python -m pipelines")]
    assert len(commands) == 4
    for command in commands:
        parser().parse_args(shlex.split(command)[3:])


def test_the_page_has_the_commands_in_the_comments_of_the_patches() -> None:
    for patch in ("argo/retry-patch.yaml", "k8s/patches/storage-initializer.yaml"):
        (line,) = re.findall(r"(?m)^# (kubectl .*patch .*)$", (INFRA / patch).read_text())
        assert line in LINES
