"""The embedded database and its artifacts stay usable in a moved or copied project and in DVC's temporary copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking._tracking_service import utils

from components.tracking.address import registry_uri, tracking_uri
from components.tracking.runs import experiment_id
from components.tracking.server import connect
from gan_core.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("old", "old dir 100% ü+#")


@pytest.fixture
def enter(tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Returns a function that makes a folder with a database the working directory."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        monkeypatch.delenv(name)

    def enter_folder(name: str) -> Path:
        utils._artifact_repos_cache.clear()  # MLflow caches the folders of runs in the process
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            shutil.copy(mlflow_database, folder / "mlflow.db")
        monkeypatch.chdir(folder)
        return folder

    return enter_folder


def log_run(text: str) -> tuple[str, str]:
    """Logs a run with a file and a version of the model `m` with a file; returns the run's id and the version."""
    client = connect()
    run_id = client.create_run(experiment_id(client)).info.run_id
    client.log_text(run_id, text, "of the run.txt")
    logged = client.create_logged_model(experiment_id(client), "generator", run_id)
    Path("file").write_text(text)
    client.log_model_artifact(logged.model_id, "file")
    with contextlib.suppress(Exception):
        client.create_registered_model("m")
    version = client.create_model_version("m", logged.artifact_location, run_id, model_id=logged.model_id).version
    client.set_registered_model_alias("m", "champion", version)
    return run_id, str(version)


def assert_complete(run_id: str, version: str, text: str) -> Path:
    """Checks that both files can be read; returns the folder of the version's file."""
    import mlflow.artifacts

    client = connect()
    assert Path(client.download_artifacts(run_id, "of the run.txt")).read_text() == text
    assert client.get_model_version_by_alias("m", "champion").version
    uri = client.get_model_version_download_uri("m", version)
    found = Path(mlflow.artifacts.download_artifacts(uri, tracking_uri=tracking_uri(), registry_uri=registry_uri()))
    assert (found / "file").read_text() == text
    return found


def drop_folder_record() -> None:
    """Turns the database into one of an earlier version, which did not record its folder."""
    with contextlib.closing(sqlite3.connect("mlflow.db")) as connection:
        connection.execute("DROP TABLE gan_pipeline_folder")
        connection.commit()


def read_files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("earlier_version", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_project_loads_its_files_and_writes_to_the_new_folder(
    enter: Callable[..., Path], name: str, earlier_version: bool
) -> None:
    old = enter(name)
    first = log_run("first")
    if earlier_version:
        drop_folder_record()
    new = old.rename(old.with_name("new " + name))
    enter(new.name)
    assert_complete(*first, "first")
    second = log_run("second")
    for version, text in ((first, "first"), (second, "second")):
        assert assert_complete(*version, text).is_relative_to(new)
    assert not old.exists()


def test_mlflows_own_commands_use_the_new_folder(enter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    old = enter("old")
    log_run("first")
    new = old.rename(old.with_name("new"))
    enter("new")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    command = [sys.executable, "-m", "components.run_mlflow", "experiments", "search"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert (new / "mlruns").as_uri() in shown.stdout
    assert str(old) not in shown.stdout


@pytest.mark.parametrize("earlier_version", [False, True])
def test_a_copy_never_writes_into_the_original(enter: Callable[..., Path], earlier_version: bool) -> None:
    original = enter("original")
    first = log_run("first")
    if earlier_version:
        drop_folder_record()
    copy = Path(shutil.copytree(original, original.with_name("copy")))
    before = read_files(original)
    enter("copy")
    assert assert_complete(*first, "first").is_relative_to(copy)
    assert assert_complete(*log_run("second"), "second").is_relative_to(copy)
    connect().log_text(first[0], "more", "more.txt")
    assert read_files(original) == before
    enter("original")
    assert assert_complete(*first, "first").is_relative_to(original)


@pytest.mark.parametrize("earlier_version", [False, True])
def test_a_database_that_was_moved_without_its_files_finds_them(
    enter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, earlier_version: bool
) -> None:
    project = enter("project")
    first = log_run("first")
    if earlier_version:
        drop_folder_record()
    elsewhere = project.with_name("elsewhere")
    elsewhere.mkdir()
    (project / "mlflow.db").rename(elsewhere / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/mlflow.db")
    assert assert_complete(*first, "first").is_relative_to(project)
    assert_complete(*log_run("second"), "second")


def test_the_default_experiment_is_stored_in_the_project(
    enter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds even if the database is created in DVC's temporary copy."""
    project = enter("project")
    (project / "mlflow.db").unlink()
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
    copy = project / ".dvc" / "tmp" / "exps" / "copy"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    first = log_run("first")
    assert assert_complete(*first, "first").is_relative_to(project / "mlruns")
    assert not (copy / "mlruns").exists()


@pytest.mark.parametrize("address", ["sqlite:///mlflow.db", "sqlite:///./mlflow.db", "", "  ", None])
def test_a_relative_address_in_dvcs_temporary_copy_means_the_project(
    enter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    project = enter("project")
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.chdir(project.parent)
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        if address is not None:
            monkeypatch.setenv(variable, address)
    assert tracking_uri() == registry_uri() == f"sqlite:///{project}/mlflow.db"


@pytest.mark.parametrize(
    "address", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://mlflow.db", "sqlite:///file:a.db?uri=true"]
)
def test_an_address_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(InvalidInput, match=r"must name a file.* Received: MLFLOW_TRACKING_URI=sqlite"):
        tracking_uri()


def test_a_question_mark_in_the_folders_name_is_refused(enter: Callable[..., Path]) -> None:
    """In an address a question mark begins the options, so the database would be in another folder."""
    enter("what?")
    with pytest.raises(InvalidInput, match="must not contain '\\?'"):
        tracking_uri()


def test_a_database_of_another_program_is_refused_and_not_changed(enter: Callable[..., Path]) -> None:
    project = enter("project")
    (project / "mlflow.db").unlink()
    with contextlib.closing(sqlite3.connect("mlflow.db")) as connection:
        connection.execute("CREATE TABLE cookies (host TEXT)")
    before = read_files(project)
    with pytest.raises(InvalidInput, match=r"must be one that MLflow created\. Received: .*mlflow\.db"):
        connect()
    assert read_files(project) == before


def test_dvcs_experiments_are_tracked_in_the_project(
    enter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs one experiment with a relative address and two queued ones in parallel with an empty address."""
    project = enter("project")
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(project.parent / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(Path(__file__).parent), str(ROOT / "tests"))))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    Path("params.yaml").write_text("seed: 0\n")
    Path("dvc.yaml").write_text(
        "stages:\n  train:\n    params: [seed]\n    outs: [out]\n"
        f"    cmd: {sys.executable} -c 'from test_moved_project import log_run; print(log_run(\"x\"))' > out\n"
    )

    def call(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    call("git", "init", "--quiet")
    Path(".gitignore").write_text("mlflow.db\nmlruns\n")
    dvc = [sys.executable, "-m", "dvc"]
    call(*dvc, "init", "--quiet")
    call("git", "add", "--all")
    call("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=m")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    call(*dvc, "exp", "run", "--temp", "--set-param", "seed=1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    call(*dvc, "exp", "run", "--queue", "--set-param", "seed=2,3")
    call(*dvc, "exp", "run", "--run-all", "--jobs", "2")
    client = connect()
    runs: list[Any] = client.search_runs([experiment_id(client)])
    assert len(runs) == 3
    for run in runs:
        [version] = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        assert assert_complete(run.info.run_id, version.version, "x").is_relative_to(project / "mlruns")
