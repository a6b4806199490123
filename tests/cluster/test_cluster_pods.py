"""Pods that cannot start, need too much, or are cancelled."""

from __future__ import annotations

from typing import Any

from followed_run import LONG, new_seed


def test_a_cancelled_run_is_reported_as_cancelled(start: Any) -> None:
    run = start(new_seed(), *LONG)
    run.unfinished_pod("train", "train: ")
    run.cancel()
    assert run.ended() == 1
    assert f"{run.run_id} CANCELED" in run.output
    assert "train: cancelled" in run.lines
    assert f"run {run.run_id} was cancelled" in run.log_of("report-status")


def test_a_training_without_enough_memory_names_the_reason(start: Any) -> None:
    run = start(new_seed(), train={"memory_request": "100Mi", "memory_limit": "250Mi", "retries": 1})
    assert run.ended() == 1
    assert "train: failed, 2nd try" in run.lines
    assert "train failed: out of memory (OOMKilled)" in run.output


def test_a_step_without_a_node_is_named_and_the_following_ends_in_time(start: Any) -> None:
    run = start(new_seed(), train={"cpu_request": "640", "cpu_limit": "640"}, options=["--timeout", "360"])
    assert run.ended() == 75
    assert "train waits. Unschedulable: 0/" in run.output


def test_an_image_that_does_not_exist_is_named(start: Any, image: str) -> None:
    absent = image.partition("@")[0] + "@sha256:" + "0" * 64
    run = start(new_seed(), image=absent, options=["--timeout", "360"])
    assert run.ended() == 75
    assert "resolve waits. ErrImagePull: " in run.output or "resolve waits. ImagePullBackOff: " in run.output
