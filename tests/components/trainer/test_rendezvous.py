"""The hosts of a TrainJob find each other by the names that JobSet gives them."""

from __future__ import annotations

import json

import pytest

from components.trainer.rendezvous import join, variables
from gan_core.errors import InvalidInput


def test_every_host_knows_all_addresses_and_its_own_place() -> None:
    environment = variables("gan-1", 3) | {"JOB_COMPLETION_INDEX": "2"}
    join(environment)
    assert json.loads(environment["TF_CONFIG"]) == {
        "cluster": {"worker": ["gan-1-node-0-0.gan-1:2222", "gan-1-node-0-1.gan-1:2222", "gan-1-node-0-2.gan-1:2222"]},
        "task": {"type": "worker", "index": 2},
    }


def test_elsewhere_nothing_is_set() -> None:
    environment: dict[str, str] = {"JOB_COMPLETION_INDEX": "0"}
    join(environment)
    assert "TF_CONFIG" not in environment


@pytest.mark.parametrize("index", [None, "", "x", "-1", "2"])
def test_a_host_without_a_place_is_refused(index: str | None) -> None:
    environment = variables("gan-1", 2) | ({} if index is None else {"JOB_COMPLETION_INDEX": index})
    with pytest.raises(
        InvalidInput, match=r"the number of hosts and its own index\. Received: .*'TRAINJOB_HOSTS': '2'"
    ):
        join(environment)
