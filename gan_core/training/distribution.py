"""Training on one device or several: splits the global batch, and shares the chief's state with all hosts.

Every replica holds the whole state. It takes its slice of the global batch and of the batch's random numbers. So the
random numbers do not depend on the number of replicas, and the mean of the gradients is that of the global batch.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gan_core.errors import InvalidInput, TryAgain
from gan_core.training.checkpoints import State

Kind = Literal["auto", "single", "mirrored", "multi_worker"]


class Distribution:
    """Replicas on the devices of one host, or of the hosts that the environment variable TF_CONFIG lists.

    Create it before TensorFlow does anything else.

    Attributes:
        replicas: number of replicas, on all hosts.
        chief: whether this process writes files: it is the only one, TF_CONFIG's chief, or worker 0 if there is no
            chief.

    Raises:
        InvalidInput: TF_CONFIG is missing, wrong, or does not list this host.
    """

    def __init__(self, kind: Kind = "single") -> None:
        if kind == "auto":
            if os.environ.get("TF_CONFIG"):
                kind = "multi_worker"
            else:
                kind = "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "single"
        self.kind = kind
        self._hosts, self.chief = _hosts() if kind == "multi_worker" else (1, True)
        self._strategy = _strategy(kind)
        self.replicas: int = self._strategy.num_replicas_in_sync

    def scope(self) -> AbstractContextManager[Any]:
        """The context in which to create the variables that all replicas hold."""
        scope: AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def run(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Calls `function` on each replica and returns the first replica's result."""
        answers = self._strategy.run(function, arguments)
        return tf.nest.map_structure(lambda answer: self._strategy.experimental_local_results(answer)[0], answers)

    def slice(self, rows: Any, part: int, parts: int) -> Any:
        """Returns this replica's rows of part `part` (of `parts`), given all rows of the global batch."""
        count = rows.shape[0] // (self.replicas * parts)
        if count == rows.shape[0]:
            return rows
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        start = (part * self.replicas + tf.cast(replica, tf.int32)) * count
        return tf.slice(rows, [start] + [0] * (rows.shape.rank - 1), [count, *rows.shape[1:]])

    @contextlib.contextmanager
    def peers(self) -> Iterator[None]:
        """The context of everything that the hosts do together.

        Raises:
            TryAgain: another host has ended, which TensorFlow notices when the hosts next exchange something.
        """
        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
            if self.kind != "multi_worker":
                raise
            reason = next((line for line in error.message.splitlines() if "ollective" in line), "")
            raise TryAgain(
                "Another host of the training has ended. Start all hosts again; they continue from the last "
                f"checkpoint. {reason.strip()[:200]}"
            ) from None

    def from_chief(self, state: State | None) -> State | None:
        """Returns the chief's `state` on every host; the other hosts' states are ignored."""
        if self.kind != "multi_worker":
            return state
        content = _packed(state) if self.chief else np.empty(0, np.int32)
        count = int(self._total(np.array([content.size], np.int32))[0])
        if count == 0:
            return None
        received = self._total(content if self.chief else np.zeros(count, np.int32))
        with np.load(io.BytesIO(received.astype(np.uint8).tobytes()), allow_pickle=False) as arrays:
            return dict(arrays)

    def _total(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Returns the sum over the hosts. Each host counts once, regardless of its number of replicas."""

        def total(numbers: Any) -> Any:
            context = tf.distribute.get_replica_context()
            # `identity` gives the tensor a device, without which the strategy does not know where to sum.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(numbers))

        on_all = tf.function(lambda numbers: self.run(total, (numbers,)), autograph=False)
        per_host = self.replicas // self._hosts
        summed: NDArray[np.int32] = on_all(tf.constant(numbers)).numpy() // per_host
        return summed


def _packed(state: State | None) -> NDArray[np.int32]:
    """Returns the state as the bytes of an .npz file, in int32 so that hosts can sum them; empty for None."""
    if state is None:
        return np.empty(0, np.int32)
    buffer = io.BytesIO()
    np.savez(buffer, **state)  # type: ignore[arg-type]
    return np.frombuffer(buffer.getbuffer(), np.uint8).astype(np.int32)


def check_replicas(batch_size: int, accumulation_steps: int, replicas: int) -> None:
    """Checks that the global batch is divisible by devices × accumulation steps.

    Raises:
        InvalidInput: it is not.
    """
    if batch_size % (accumulation_steps * replicas):
        raise InvalidInput(
            "The parameter 'train.batch_size', the examples of all devices together, must be a multiple of devices × "
            f"accumulation_steps. Received: batch_size={batch_size}, accumulation_steps={accumulation_steps}, "
            f"{replicas} devices"
        )


def _hosts() -> tuple[int, bool]:
    """Returns the number of hosts in TF_CONFIG, and whether this one is the chief.

    Raises:
        InvalidInput: TF_CONFIG does not have the form that TensorFlow documents, or lists hosts other than chief and
        workers.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        document = json.loads(text)
        cluster, kind, index = document["cluster"], document["task"]["type"], int(document["task"]["index"])
        counts = {name: len(addresses) for name, addresses in cluster.items()}
        if set(counts) <= {"chief", "worker"} and counts.get("chief", 1) == 1 and 0 <= index < counts[kind]:
            return sum(counts.values()), kind == "chief" or ("chief" not in counts and index == 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise InvalidInput(
        "To train on several hosts, the environment variable TF_CONFIG must be a JSON object. Its 'cluster' must list "
        "the addresses of the workers and of at most one chief, and its 'task' the type and index of this host. "
        f"Received: TF_CONFIG={text[:200]!r}"
    )


def _strategy(kind: Kind) -> Any:
    if kind == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()
