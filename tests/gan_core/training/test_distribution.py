"""Several devices give the same metrics as one: logical devices of this machine, and two real processes."""

import socket

import pytest
from replicas import metrics_of, start_replicas

from gan_core.errors import InvalidInput
from gan_core.training.distribution import Distribution, check_replicas

CONDITIONAL = {"dropout": 0.4, "conditional": True}
# If rounding moves a number across the kink of a ReLU, a gradient changes by far more than 1e-5. At twice this learning
# rate that happens within 20 steps, only in the gradient's norm.
PENALISED = {
    "dropout": 0.4,
    "learning_rate": 0.0005,
    "normalization": "none",
    "loss": "relativistic",
    "r1_weight": 1.0,
    "r2_weight": 1.0,
    "penalty_interval": 4,
    "accumulation_steps": 2,
    "augment": ["color", "translation", "cutout"],
    "augment_probability": 0.5,
    "augment_target": 0.6,
}


SPECTRAL = {"network": "resnet", "normalization": "spectral", "loss": "hinge", "learning_rate": 0.0002}
FASTGAN = {"network": "fastgan", "loss": "hinge", "learning_rate": 0.00005}


def assert_close(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("changes", [PENALISED, SPECTRAL, FASTGAN], ids=["penalised", "spectral", "fastgan"])
def test_two_devices_give_the_metrics_of_one_and_resume(tmp_path, changes):
    (expected,) = metrics_of(start_replicas("single", 1, tmp_path / "one", 20, changes), replicas=1)
    (first,) = metrics_of(start_replicas("mirrored", 2, tmp_path / "two", 10, changes), replicas=2)
    (second,) = metrics_of(start_replicas("mirrored", 2, tmp_path / "two", 20, changes), replicas=2)
    assert len(first) == len(second) == 10
    assert_close(first + second, expected)


def test_two_processes_give_the_metrics_of_one_and_resume(tmp_path):
    (expected,) = metrics_of(start_replicas("single", 1, tmp_path / "one", 20, CONDITIONAL), replicas=1)
    found = []
    # The chief is the host of type chief; without one, it is the first worker.
    for steps, tasks in ((10, [("worker", 0), ("worker", 1)]), (20, [("worker", 0), ("chief", 0)])):
        with socket.socket() as one, socket.socket() as other:
            for server in (one, other):
                server.bind(("127.0.0.1", 0))
            addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in (one, other)]
        cluster: dict[str, list[str]] = {}
        for (kind, _), address in zip(tasks, addresses, strict=True):
            cluster.setdefault(kind, []).append(address)
        processes = [
            start_replicas(
                *("auto", 1, tmp_path / "two", steps, CONDITIONAL),
                cluster={"cluster": cluster, "task": {"type": kind, "index": index}},
            )
            for kind, index in tasks
        ]
        ours, theirs = metrics_of(*processes, replicas=2)
        assert ours == theirs
        found += ours
    assert_close(found, expected)


def test_a_batch_that_cannot_be_divided_among_the_devices_is_refused():
    check_replicas(64, accumulation_steps=2, replicas=4)
    with pytest.raises(InvalidInput, match=r"Received: batch_size=64, accumulation_steps=2, 3 devices"):
        check_replicas(64, accumulation_steps=2, replicas=3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cluster": {}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"chief": ["a:1", "b:1"], "worker": ["c:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_tf_config_must_list_all_hosts_including_this_one(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InvalidInput, match="TF_CONFIG must be a JSON object") as error:
        Distribution("multi_worker")
    assert str(error.value).endswith(f"Received: TF_CONFIG={text!r}")
