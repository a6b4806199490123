"""One device or several: who computes which part of the global batch, and what all must agree on.

Every replica holds the whole state. It takes its slice of the global batch and of the batch's random draws, so the
number of replicas changes no draw, and the gradients' mean is that of the global batch.
"""

from __future__ import annotations

import io
import json
import os
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gan_core.checkpoints import State
from gan_core.errors import InvalidInput

Kind = Literal["auto", "single", "mirrored", "multi_worker"]


class Distribution:
    """Replicas on the devices of one host, or of the hosts that the environment variable TF_CONFIG lists.

    To be made before TensorFlow has done anything else.

    Attributes:
        replicas: number of replicas, on all hosts.
        chief: whether this process is the one that writes; alone or the first of the workers.

    Raises:
        InvalidInput: TF_CONFIG does not list this worker among others.
    """

    def __init__(self, kind: Kind = "single") -> None:
        workers = _workers()
        if kind == "auto":
            several = len(tf.config.list_logical_devices("GPU")) > 1 if not workers else False
            kind = "multi_worker" if workers else "mirrored" if several else "single"
        if kind == "multi_worker" and not workers:
            raise InvalidInput(
                "With 'distribution' multi_worker the environment variable TF_CONFIG must list the workers and say "
                f"which one this is. Received: TF_CONFIG={os.environ.get('TF_CONFIG', '')[:200]!r}"
            )
        self.kind = kind
        self._strategy = _strategy(kind)
        self.replicas: int = self._strategy.num_replicas_in_sync
        self.chief = kind != "multi_worker" or json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Where the variables that all replicas hold are made."""
        scope: AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def run(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Calls `function` on each replica and returns the first one's answer."""
        answers = self._strategy.run(function, arguments)
        return tf.nest.map_structure(lambda answer: self._strategy.experimental_local_results(answer)[0], answers)

    def slice(self, rows: Any, part: int, parts: int) -> Any:
        """This replica's rows of the `part`-th of `parts` parts, from all rows of the global batch."""
        count = rows.shape[0] // (self.replicas * parts)
        if count == rows.shape[0]:
            return rows
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        start = (part * self.replicas + tf.cast(replica, tf.int32)) * count
        return tf.slice(rows, [start] + [0] * (rows.shape.rank - 1), [count, *rows.shape[1:]])

    def from_chief(self, state: State | None) -> State | None:
        """The chief's `state`, on every host; what the others bring is left aside."""
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
        """The sum over the hosts; a host has one replica or several, of which the first counts."""

        def total(numbers: Any) -> Any:
            context = tf.distribute.get_replica_context()
            # Without the operation its device is not known, and the strategy cannot tell where to sum.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(numbers))

        on_all = tf.function(lambda numbers: self.run(total, (numbers,)), autograph=False)
        per_host = self._strategy.num_replicas_in_sync // _workers()
        summed: NDArray[np.int32] = on_all(tf.constant(numbers)).numpy() // per_host
        return summed


def _packed(state: State | None) -> NDArray[np.int32]:
    """The bytes of an .npz file, as numbers that can be summed."""
    if state is None:
        return np.empty(0, np.int32)
    buffer = io.BytesIO()
    np.savez(buffer, **state)  # type: ignore[arg-type]
    return np.frombuffer(buffer.getbuffer(), np.uint8).astype(np.int32)


def check_replicas(batch_size: int, accumulation_steps: int, replicas: int) -> None:
    """Checks that a global batch can be dealt out.

    Raises:
        InvalidInput: it cannot.
    """
    if batch_size % (accumulation_steps * replicas):
        raise InvalidInput(
            "The parameter 'train.batch_size', the images of all devices together, must be a multiple of devices × "
            f"accumulation_steps. Received: batch_size={batch_size}, accumulation_steps={accumulation_steps}, "
            f"{replicas} devices"
        )


def _workers() -> int:
    """How many workers TF_CONFIG lists; 0 without it."""
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}")
        return len(cluster["cluster"]["worker"]) if cluster and "index" in cluster["task"] else 0
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"TF_CONFIG must be JSON with cluster.worker and task.index: {error!r}. "
            f"Received: {os.environ['TF_CONFIG'][:200]!r}"
        ) from None


def _strategy(kind: Kind) -> Any:
    if kind == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()
