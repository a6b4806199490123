"""The image under test, and pipelines run in it by kfp.local. `make test-containers` provides the image."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from typing import Any

import docker
import pytest
import yaml
from docker.models.containers import ContainerCollection
from kfp import local
from kfp.components import load_component_from_file
from strict_containers import ROOT, SMALL, STRICT, LocalRun, Run, RunPipeline

from pipelines.__main__ import main as pipelines_command


@pytest.fixture(scope="session")
def image() -> str:
    name = os.environ.get("TEST_IMAGE")
    if not name:
        pytest.skip("no image to test: run `make test-containers`")
    return name


@pytest.fixture(scope="session")
def engine(image: str) -> Iterator[docker.DockerClient]:
    """The engine; fails when the tests leave a container of the image behind."""
    client = docker.from_env()
    yield client
    left = client.containers.list(all=True, filters={"ancestor": image})
    client.close()
    assert not left


@pytest.fixture(scope="session")
def run(engine: docker.DockerClient, image: str) -> Run:
    """Runs one command in the strict container and returns its exit code and output."""

    def run_command(*command: str, **options: Any) -> tuple[int, str]:
        container = engine.containers.create(image, list(command), **{**STRICT, "user": "12345:0", **options})
        try:
            container.start()
            code = container.wait()["StatusCode"]
            return code, container.logs().decode()
        finally:
            container.remove(force=True)

    return run_command


@pytest.fixture(scope="session")
def run_pipeline(
    engine: docker.DockerClient, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunPipeline]:
    """Compiles a pipeline with small parameters, loads the compiled file and runs it in strict containers."""

    def compile_and_run(kind: str, *options: str, modality: str = "image", **arguments: Any) -> LocalRun:
        folder = tmp_path_factory.mktemp(kind)
        for parent in (folder, *folder.parents[:2]):  # the image's user must reach the pipeline root
            parent.chmod(0o777)
        root = folder / "root"
        root.mkdir()
        profile = yaml.safe_load((ROOT / "infra" / "profiles" / "cpu.yaml").read_text())
        profile["retry_after_seconds"] = 1
        profile["light"]["retries"] = 1
        profile["environment"] = {"DVC_ROOT": str(root)}  # MLflow writes to the pipeline root, without a server
        (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
        compiled = folder / "pipeline.yaml"
        overrides = [part for override in SMALL[modality] for part in ("-S", override)]
        pipelines_command(
            [
                *("compile", kind, "--image", image, "--output", str(compiled)),
                *("--profile", str(folder / "profile.yaml"), "--params", str(ROOT / "params.yaml")),
                *overrides,
                *options,
            ]
        )
        local.init(local.DockerRunner(**STRICT), pipeline_root=str(root), raise_on_error=True)
        log = io.StringIO()
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kfp.local warns at each step that it ignores resources
            try:
                load_component_from_file(str(compiled))(**arguments)
                succeeded = True
            except RuntimeError:
                succeeded = False
        return LocalRun(succeeded, log.getvalue(), root)

    before = os.umask(0)  # kfp creates the output folders, and the image runs as another user
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ContainerCollection, "run", _run_and_keep_until_waited)
        yield compile_and_run
    os.umask(before)


_run = ContainerCollection.run


def _run_and_keep_until_waited(self: ContainerCollection, *arguments: Any, **options: Any) -> Any:
    """Leaves the removal of a container to the code that reads its exit code.

    kfp.local lets the engine remove it. If the container is gone before its exit code is read, it counts as successful.
    """
    container = _run(self, *arguments, **options | {"auto_remove": False})
    wait = container.wait

    def wait_and_remove() -> Any:
        answer = wait()
        container.remove()
        return answer

    container.wait = wait_and_remove
    return container
