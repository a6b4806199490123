"""The commands of a pipeline's steps with DATA_VOLUME: their data stay on the volume, and pointers lead to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image
from recipes import project_parameters, small_images, small_parameters

from components import check, drift, fetch, prepare, prune
from components.storage.output_kinds import FETCHED
from components.storage.outputs import Output
from components.storage.volume import NAME, VARIABLE, followed, kept_output
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.exit_codes import run
from tests.datasets import blobs

ROOT = Path(__file__).resolve().parents[2]
CONFIG = project_parameters()["prepare"] | {"source": "digits", "image": small_images()}
Answer = subprocess.CompletedProcess[str]
EVALUATE, REGISTER = (json.dumps(project_parameters()[name]) for name in ("evaluate", "register"))


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "volume"))
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a step's command in this process; returns its exit code and what it wrote to stderr."""

    def called(main: Callable[[], None], **options: object) -> tuple[int, str]:
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        monkeypatch.setattr(sys, "argv", ["step", *words])
        code = 0
        try:
            run(main)
        except SystemExit as end:
            code = int(end.code or 0)
        return code, capsys.readouterr().err

    return called


def prepared(step: Callable[..., tuple[int, str]], pointer: Path, **more: object) -> Path:
    """Prepares data; returns the place that the pointer leads to."""
    code, errors = step(prepare.main, config=json.dumps(CONFIG), dataset=pointer, **more)
    assert code == 0, errors
    return followed(pointer)


def run_command(command: str, *options: str, prefix: Sequence[str] = (), **variables: str) -> Answer:
    return subprocess.run(
        [*prefix, sys.executable, "-m", f"components.{command}", *options],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_prepared_data_are_on_the_volume_and_the_output_points_to_them(volume, step, tmp_path, monkeypatch) -> None:
    place = prepared(step, tmp_path / "pod" / "dataset")
    assert [place] == list(volume.iterdir())
    assert NAME.fullmatch(place.name)
    assert (tmp_path / "pod" / "dataset").read_text() == place.name
    monkeypatch.delenv(VARIABLE)
    assert contents(place) == contents(prepared(step, tmp_path / "without"))


def test_the_steps_follow_the_pointers_to_raw_and_prepared_data(volume: Path, tmp_path: Path) -> None:
    pod = tmp_path / "pod"
    with kept_output(Output(pod / "data", FETCHED), "fetched") as raw:
        raw.mkdir()
        for number, image in enumerate(blobs(40)):
            Image.fromarray(image[..., 0]).save(raw / f"{number}.png")
    training = {name: pod / name for name in ("model", "history", "samples")} | {
        "checkpoints": tmp_path / "checkpoints"
    }
    for command, options in (
        ("prepare", {"config": json.dumps(CONFIG | {"source": "cats"}), "data": pod / "data", "dataset": pod / "set"}),
        ("train", {"config": json.dumps(small_parameters(steps=2)), "dataset": pod / "set", **training}),
    ):
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
        done = run_command(command, *words, **tracking)
        assert done.returncode == 0, done.stderr
    assert sorted(path.name.partition("-")[0] for path in volume.iterdir()) == ["fetched", "prepared"]
    assert {path.name for path in pod.iterdir() if path.stat().st_size < 100} == {"data", "set"}


def test_nothing_fetched_may_also_be_on_the_volume(volume, step, tmp_path) -> None:
    assert step(fetch.main, pointer="", remote="", data=tmp_path / "data") == (0, "")
    assert prepared(step, tmp_path / "dataset", data=tmp_path / "data").name.startswith("prepared-")


def test_equal_data_prepared_again_leave_the_first_alone(volume, step, tmp_path) -> None:
    place = prepared(step, tmp_path / "first")
    before = {path: path.stat().st_ino for path in place.iterdir()}
    assert prepared(step, tmp_path / "second") == place
    assert {path: path.stat().st_ino for path in place.iterdir()} == before


def test_two_processes_may_prepare_equal_data_at_the_same_time(volume: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "components.prepare", "--config", json.dumps(CONFIG), "--dataset"]
    processes = [
        subprocess.Popen([*command, str(tmp_path / name)], cwd=ROOT, stdout=subprocess.DEVNULL) for name in ("a", "b")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()
    assert len(list(volume.iterdir())) == 1
    PreparedDataset(followed(tmp_path / "a")).split("train")


def test_what_a_killed_process_left_is_no_data_and_is_removed(volume, step, tmp_path) -> None:
    (volume / ".at-work-abcdefgh" / "new").mkdir(parents=True)
    place = prepared(step, tmp_path / "dataset")
    assert list(volume.iterdir()) == [place]


def test_a_failed_step_leaves_nothing_on_the_volume(volume, step, tmp_path) -> None:
    code, errors = step(prepare.main, config=json.dumps(CONFIG | {"source": "absent"}), dataset=tmp_path / "dataset")
    assert (code, errors.count("\n")) == (2, 1)
    assert list(volume.iterdir()) == []


def test_deleted_data_are_explained_and_a_cached_pointer_is_valid_again_when_they_are_made_again(
    volume, step, tmp_path
) -> None:
    cached = tmp_path / "cached"
    place = prepared(step, cached)
    place.rename(tmp_path / "deleted")
    options = {"config": EVALUATE, "register": REGISTER, "dataset": cached, "champion": tmp_path / "champion"}
    code, errors = step(check.main, **options)
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith("error: The data must still be on the volume. To make them again, run the pipeline once ")
    assert errors.endswith(f"Received: no folder {place}\n")
    prepared(step, tmp_path / "again")
    assert step(check.main, **options) == (0, "")


def test_damaged_data_are_refused_and_replaced_when_they_are_made_again(volume, step, tmp_path) -> None:
    place = prepared(step, tmp_path / "dataset")
    before = contents(place)
    (shard,) = place.glob("train-*0.npy")
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    with pytest.raises(InvalidInput, match="A shard must have the SHA-256 in its manifest"):
        PreparedDataset(place).split("train")
    prepared(step, tmp_path / "again")
    assert contents(place) == before
    assert list(volume.iterdir()) == [place]


def test_a_pointer_outside_the_pipeline_says_where_its_data_are(volume, step, tmp_path, monkeypatch) -> None:
    place = prepared(step, tmp_path / "dataset")
    monkeypatch.delenv(VARIABLE)
    code, errors = step(
        drift.main,
        config=ROOT / "params.yaml",
        reference=tmp_path / "dataset",
        data=place,
        record=tmp_path / "drift.json",
    )
    assert code == 2
    assert "only where it is mounted: in the steps of a pipeline whose profile has `data_claim`" in errors
    assert errors.endswith(f"Received: {tmp_path / 'dataset'}, which points to {place.name}\n")


@pytest.mark.parametrize("text", ["../prepared", "prepared-" + "0" * 63 + "/", "", f"prepared-{'0' * 64}\n../x"])
def test_only_a_name_made_of_a_digest_is_followed(volume: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "pointer").write_text(text)
    assert followed(tmp_path / "pointer") == tmp_path / "pointer"


def test_a_link_on_the_volume_is_not_followed(volume: Path, tmp_path: Path) -> None:
    name = f"prepared-{'0' * 64}"
    (volume / name).symlink_to(tmp_path)
    (tmp_path / "pointer").write_text(name)
    with pytest.raises(InvalidInput, match=r"The data must still be on the volume"):
        followed(tmp_path / "pointer")


def test_prune_removes_data_that_no_step_read_for_long(volume, step, tmp_path, monkeypatch, capsys) -> None:
    names = {age: f"prepared-{character * 64}" for age, character in {"old": "0", "read": "1", "new": "2"}.items()}
    for age, name in names.items():
        (volume / name).mkdir()
        (volume / name / "manifest.json").write_bytes(bytes(1000))
        if age != "new":
            os.utime(volume / name, (0, 0))
    (volume / "mine").mkdir()
    os.utime(volume / "mine", (0, 0))
    (tmp_path / "pointer").write_text(names["read"])
    followed(tmp_path / "pointer")
    monkeypatch.chdir(tmp_path)
    for words, left in ((["--dry-run"], {*names.values(), "mine"}), ([], {names["read"], names["new"], "mine"})):
        monkeypatch.setattr(sys, "argv", ["prune", "--data", str(volume), *words])
        prune.main()
        assert f"{volume / names['old']}: data that were not read for long, 1,000 bytes" in capsys.readouterr().out
        assert {path.name for path in volume.iterdir()} == left


def test_a_volume_of_another_user_is_refused_with_the_job_that_changes_it(volume: Path, tmp_path: Path) -> None:
    volume.chmod(0o500)
    without_roots_rights = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.getuid() == 0 else []
    options = ["--config", json.dumps(CONFIG), "--dataset", str(tmp_path / "dataset")]
    done = run_command("prepare", *options, prefix=without_roots_rights)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: The volume of the data must be writable. On Kubernetes, ")
    assert "job --from=cronjob/gan-checkpoints-writable " in done.stderr
