"""Checks of infra/terraform without a Google account: format, variables, references, agreement with the manifests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from manifests import INFRA, Objects

FOLDER = INFRA / "terraform"
SOURCE = "\n".join(path.read_text() for path in sorted(FOLDER.glob("*.tf")))
CODE = re.sub(r"(?m)(^|\s)#.*$", "", SOURCE)
ENVIRONMENTS = sorted(FOLDER.glob("*.tfvars"))

needs_terraform = pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")


def terraform(*arguments: str | Path, folder: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    command = ["terraform", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def block(name: str) -> str:
    """Returns the text of a local value or of an output with several lines."""
    found = re.search(rf'(?ms)^  {name} += \{{\n(.*?)\n  \}}|^output "{name}" \{{\n(.*?)\n\}}', CODE)
    assert found, name
    return found[1] or found[2]


@needs_terraform
def test_terraform_fmt_finds_nothing_to_change() -> None:
    result = terraform("fmt", "-check", "-diff", "-recursive")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def variables_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root module with only the variables, whose values Terraform checks without a provider."""
    folder = tmp_path_factory.mktemp("variables")
    shutil.copy(FOLDER / "variables.tf", folder)
    assert terraform("init", "-input=false", folder=folder).returncode == 0
    return folder


@needs_terraform
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_terraform_accepts_the_variables_of_every_environment(environment: Path, variables_module: Path) -> None:
    result = terraform("plan", "-input=false", f"-var-file={environment}", folder=variables_module)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stdout + result.stderr


@needs_terraform
@pytest.mark.parametrize(
    "wrong", ["project=Example", "zones=[]", "gpu_nodes_max=0", "billing_account=1", "alert_email=team", "region=here"]
)
def test_terraform_refuses_a_wrong_variable(wrong: str, variables_module: Path) -> None:
    result = terraform("plan", "-input=false", f"-var-file={ENVIRONMENTS[0]}", f"-var={wrong}", folder=variables_module)
    assert result.returncode == 1
    assert "Invalid value for variable" in result.stderr


def test_every_variable_is_declared_set_used_and_checked() -> None:
    declared = set(re.findall(r'(?m)^variable "(\w+)"', CODE))
    assert declared == set(re.findall(r"\bvar\.(\w+)", re.sub(r"condition .*", "", CODE)))
    for environment in ENVIRONMENTS:
        assert set(re.findall(r"(?m)^(\w+) *=", environment.read_text())) == declared, environment.name
    assert [path.stem for path in ENVIRONMENTS] == ["dev", "prod"]


def test_every_reference_is_declared() -> None:
    declared = {".".join(pair) for pair in re.findall(r'(?m)^(?:resource|ephemeral|data) "(\w+)" "(\w+)"', CODE)}
    referenced = set(re.findall(r"\b((?:google|random)_\w+\.\w+)", CODE))
    assert referenced <= declared, referenced - declared
    named = {
        name
        for text in re.findall(r"(?ms)^locals \{\n(.*?)\n\}", CODE)
        for name in re.findall(r"(?m)^  (\w+) +=", text)
    }
    assert set(re.findall(r"\blocal\.(\w+)", CODE)) == named


def test_providers_are_pinned_to_one_version() -> None:
    versions = re.findall(r'(?m)^ +version += "(.*)"', CODE)
    assert len(versions) == 2
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)


def test_no_secret_is_in_the_state_or_in_a_file() -> None:
    assert "password_wo " in CODE
    assert "secret_data_wo " in CODE
    assert not re.search(r"\b(password|secret_data) *=", CODE)


def test_identities_are_those_of_the_cluster(render: Callable[..., Objects]) -> None:
    pairs = dict(re.findall(r'(?m)^ +([\w-]+) += "([\w-]+/[\w-]+)"', block("accounts")))
    annotated = {
        item["metadata"]["annotations"]["iam.gke.io/gcp-service-account"].partition("@")[
            0
        ]: "{namespace}/{name}".format(**item["metadata"])
        for item in render("gke")
        if item["kind"] == "ServiceAccount"
    }
    assert (
        pairs.pop("gan-training-host") == "kubeflow/gan-training-host"
    )  # in a component that the overlay does not use
    assert pairs.pop("gan-kfp-ui") == "kubeflow/ml-pipeline-ui"  # created by KFP's manifests
    assert annotated == pairs


def test_the_output_has_the_first_settings_of_the_cluster() -> None:
    printed = re.findall(r"(?m)^ +(\w+)=", block("cluster_settings"))
    committed = (INFRA / "k8s/overlays/gke/settings.env").read_text()
    assert [*printed, "mlflow_image", "gan_image", "champion_uri"] == re.findall(r"(?m)^(\w+)=", committed)


def test_the_output_has_the_variables_of_the_release_workflow() -> None:
    printed = set(re.findall(r"(?m)^ +([A-Z_]+) +=", block("release_variables")))
    workflow = (INFRA.parent / ".github/workflows/release.yml").read_text()
    assert {*printed, "PROFILE"} == set(re.findall(r"vars\.([A-Z_]+)", workflow))


def test_pg_dump_and_the_database_have_the_same_version() -> None:
    database = re.search(r'database_version += "POSTGRES_(\d+)"', CODE)
    assert database
    assert f"postgresql-client-{database[1]} " in (INFRA / "mlflow/Dockerfile").read_text()
