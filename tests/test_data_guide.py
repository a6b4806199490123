"""Two people run the command lines of docs/data.md unchanged, with a storage emulator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clones import copy_project
from PIL import Image
from storage_emulator import storage_emulator

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "data.md").read_text()
SECTIONS = {
    section.partition("\n")[0]: re.findall(r"(?ms)^```bash\n(.*?)^```$", section) for section in TEXT.split("\n## ")[1:]
}


class Person:
    """A clone of the team's repository."""

    def __init__(self, folder: Path, origin: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._environment = environment
        subprocess.run(["git", "clone", "-q", str(origin), str(folder)], check=True)

    def types(self, line: str) -> str:
        """Runs one line in a shell and returns its output."""
        output = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert output.returncode == 0, f"{line}\n{output.stdout}\n{output.stderr}"
        return output.stdout + output.stderr

    def types_section(self, name: str) -> dict[str, str]:
        """Runs the lines of a section and returns the output of each."""
        return {line: self.types(line) for block in SECTIONS[name] for line in block.splitlines()}

    def add_cats(self, count: int, seed: int = 0) -> None:
        draws = np.random.default_rng(seed)
        for number in range(count):
            path = self.folder / "data" / "raw" / "cats" / f"breed{number % 2}" / f"{seed}-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draws.integers(0, 256, (30, 30), np.uint8)).save(path)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[tuple[Person, Person]]:
    """Yields two clones of a repository like this one, with an emulator for their bucket."""
    with storage_emulator() as host:
        environment = os.environ | {
            "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
            "STORAGE_EMULATOR_HOST": host,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # the emulator does not support gcsfs's request
            "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        origin, start = tmp_path / "origin", tmp_path / "start"
        copy_project(start, environment)
        subprocess.run(["git", "init", "-q", "--bare", str(origin)], env=environment, check=True)
        subprocess.run(["git", "push", "-q", str(origin), "main"], cwd=start, env=environment, check=True)
        yield Person(tmp_path / "ann", origin, environment), Person(tmp_path / "ben", origin, environment)


def stored(person: Person) -> int:
    """Returns the number of objects in the DVC remote."""
    listing = (
        "from google.cloud import storage; print(len(list(storage.Client().list_blobs('team-data', prefix='dvc/'))))"
    )
    return int(person.types(f'python -c "{listing}"'))


def test_a_team_adds_reviews_retrains_and_cleans_up(team: tuple[Person, Person]) -> None:
    ann, ben = team
    ann.types_section("Once")
    ann.add_cats(10)
    ann.types("dvc add data/raw/cats && dvc push && git add data/raw/cats.dvc && git commit -qm cats && git push -q")
    assert stored(ann) == 11

    ann.add_cats(30, seed=1)
    output = ann.types_section("Add data")
    assert "in sync" in output["dvc status --cloud"]
    assert stored(ann) == 42

    ben.types("git pull -q && dvc pull data/raw/cats.dvc && dvc repro prepare")
    output = ben.types_section("Review the change")
    diff = output["git diff origin/main -- data/raw/cats.dvc"]
    assert re.search(r"(?m)^-  nfiles: 10$", diff)
    assert re.search(r"(?m)^\+  nfiles: 40$", diff)
    assert (
        len(re.findall(r"data/raw/cats/breed\d/1-\d+\.png", output["dvc diff --targets data/raw/cats -- origin/main"]))
        == 30
    )
    counts = re.search(r"(\d+) images to train on, (\d+) held out, 2 classes, 0 rejected", output["dvc repro prepare"])
    assert counts
    assert int(counts[1]) + int(counts[2]) == 40

    retrain, submit = (block.strip() for block in SECTIONS["Retrain"])
    assert retrain == "dvc exp run"  # a whole training, so only the command is checked
    assert "Running stage 'train'" in ben.types("dvc repro --dry train")
    ben.types(f"""python -c 'import sys; from pipelines.__main__ import parser; parser().parse_args(sys.argv[1:])' \
        {submit.removeprefix("python -m pipelines ")}""")

    ann.add_cats(5, seed=2)
    ann.types("dvc add data/raw/cats && dvc push")  # but never commits it
    assert stored(ann) == 48
    ben.types_section("Clean up")
    assert stored(ann) == 42
    ann.types("git checkout -qf main && rm -r .dvc/cache && dvc pull --force data/raw/cats.dvc")
    assert len(list((ann.folder / "data/raw/cats").rglob("*.png"))) == 10


def test_stages_read_and_write_paths_in_a_bucket(team: tuple[Person, Person]) -> None:
    ann, _ = team
    ann.types("sed -i 's|^  source: embedded |  source: data/raw/cats |' params.yaml")
    ann.add_cats(20)
    put = "from google.cloud import storage; storage.Client().bucket('team-data').blob('{}').upload_from_filename('{}')"
    ann.types(f'python -c "{put.format("params.yaml", "params.yaml")}"')
    ann.types(f'python -c "{put.format("photos/1.png", "data/raw/cats/breed1/0-1.png")}"')
    ann.types_section("Paths in a bucket")
    ann.types("python -c \"from components.storage.bucket import Address; "
              "from components.storage.transfer import download; "
              "from pathlib import Path; download(Address('team-data', 'prepared/cats'), Path('back'))\"")  # fmt: skip
    back, copy = ann.folder / "back", ann.folder / "data" / "copy"
    assert {path.name for path in back.iterdir()} == {path.name for path in copy.iterdir()}
    for path in copy.iterdir():
        assert (back / path.name).read_bytes() == path.read_bytes()
    assert [path.name for path in (ann.folder / "data/raw/photos").iterdir()] == ["1.png"]
