"""Tests that the cache returns what was computed, with concurrent processes and damaged files too."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from gan_core.evaluation.cache import cached


def compute_never() -> dict[str, np.ndarray]:
    raise AssertionError("the cached result must be used")


def test_results_are_cached_by_content(tmp_path: Path) -> None:
    first = cached(tmp_path / "new", {"a": 1}, lambda: {"x": np.arange(3)})
    assert np.array_equal(cached(tmp_path / "new", {"a": 1}, compute_never)["x"], first["x"])
    assert cached(tmp_path / "new", {"a": 2}, lambda: {"x": np.ones(1)})["x"] == 1


@pytest.mark.parametrize("keep", [0, 10, -10])
def test_a_truncated_file_is_computed_again(tmp_path: Path, keep: int) -> None:
    cached(tmp_path, {"a": 1}, lambda: {"x": np.arange(1000)})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:keep])
    assert cached(tmp_path, {"a": 1}, lambda: {"x": np.ones(2)})["x"].sum() == 2
    assert cached(tmp_path, {"a": 1}, compute_never)["x"].sum() == 2


def test_a_flipped_bit_is_detected(tmp_path: Path) -> None:
    cached(tmp_path, {"a": 1}, lambda: {"x": np.zeros(1000)})
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert cached(tmp_path, {"a": 1}, lambda: {"x": np.ones(1)})["x"] == 1


def other_arrays(file: Path) -> None:
    np.savez(file, y=np.ones(1))


def compressed_and_damaged(file: Path) -> None:
    np.savez_compressed(file, x=np.random.default_rng(0).random(128))
    content = file.read_bytes()
    place = content.find(b"x.npy") + 26
    file.write_bytes(content[:place] + b"\7" + content[place + 1 :])


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "mine").touch()


@pytest.mark.parametrize("damage", [other_arrays, compressed_and_damaged, folder])
def test_an_invalid_cache_file_is_replaced(tmp_path: Path, damage) -> None:
    cached(tmp_path, {"a": 1}, lambda: {"x": np.zeros(1000)})
    (file,) = tmp_path.iterdir()
    damage(file)
    assert cached(tmp_path, {"a": 1}, lambda: {"x": np.ones(1)})["x"] == 1
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_writable_folder_results_are_computed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert cached(tmp_path / "file" / "cache", {}, lambda: {"x": np.ones(1)})["x"] == 1


def test_a_failed_computation_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        cached(tmp_path, {}, compute_never)
    assert not list(tmp_path.iterdir())


def race(folder: Path, start: multiprocessing.synchronize.Barrier, results: multiprocessing.Queue) -> None:
    start.wait()
    for turn in range(20):
        arrays = cached(folder, {"turn": turn}, lambda turn=turn: {"x": np.full(50_000, turn)})
        results.put(bool((arrays["x"] == turn).all()))


def test_concurrent_processes_read_complete_files(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(4), context.Queue()
    runs = [context.Process(target=race, args=(tmp_path, start, results)) for _ in range(4)]
    for run in runs:
        run.start()
    assert all(results.get(timeout=60) for _ in range(80))
    for run in runs:
        run.join()
        assert run.exitcode == 0
    assert len(list(tmp_path.iterdir())) == 20
