"""The manifests as kubectl renders them, with the settings of a cluster filled in."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from manifests import INFRA, Objects, kubectl


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of infra/ whose settings name images by digests as a registry would give them."""
    folder = tmp_path_factory.mktemp("manifests") / "infra"
    shutil.copytree(INFRA / "k8s", folder / "k8s")
    shutil.copytree(INFRA / "mlflow", folder / "mlflow")
    for settings in folder.glob("k8s/overlays/*/settings.env"):
        text = settings.read_text()
        filled = re.sub(
            r"(?m)^(\w+)_image=(.*)@sha256:0{64}$",
            lambda match: f"{match[1]}_image={match[2]}@sha256:{hashlib.sha256(match[1].encode()).hexdigest()}",
            text,
        )
        assert "0" * 64 not in filled
        settings.write_text(filled)
    return folder


@pytest.fixture(scope="session")
def render(manifests: Path) -> Callable[..., Objects]:
    """Renders an overlay, with components added."""
    cache: dict[tuple[str, ...], Objects] = {}

    def rendered(overlay: str, *components: str) -> Objects:
        key = (overlay, *components)
        if key not in cache:
            folder = manifests / "k8s" / "overlays" / overlay
            if components:
                folder = manifests / "k8s" / "-".join(key)
                folder.mkdir()
                kustomization = {
                    "apiVersion": "kustomize.config.k8s.io/v1beta1",
                    "kind": "Kustomization",
                    "resources": [f"../overlays/{overlay}"],
                    "components": [f"../components/{name}" for name in components],
                }
                (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
            cache[key] = list(yaml.safe_load_all(kubectl("kustomize", folder)))
        return cache[key]

    return rendered
