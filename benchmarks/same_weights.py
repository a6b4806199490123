"""Checks that two revisions give the same weights: `python -m benchmarks.same_weights --old e873eab`.

Each case is trained by both revisions at the same time, with the commands that people run, and takes 50 steps of small
networks. Then the arrays of the last checkpoint (networks, averages, optimisers, counters), the weights in
`generator.keras` and the history are compared bit by bit. Names that only one history has are ignored. Any other
difference is printed, and the exit code is 1.

The commands run in children of one process that has already imported TensorFlow and MLflow, which saves most of the
time of a training this small.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.revision import HISTORY, Arrays, Revision, checkout, stop
from benchmarks.same_weights_cases import CASES

# This module must not import gan_core or components: the processes that import it then import those of a revision.


def main() -> None:
    """Trains with both revisions, compares and prints the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", required=True, help="git revision")
    parser.add_argument("--new", help="git revision (default: the files of this folder)")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="CASE", help=f"of: {', '.join(CASES)}")
    arguments = parser.parse_args()
    os.environ |= {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    multiprocessing.set_start_method("forkserver")
    multiprocessing.set_forkserver_preload(["tensorflow", "mlflow"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    different = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as both:
        try:
            sides = [
                Revision(checkout(arguments.old, Path(folder) / "old-code"), Path(folder) / "old"),
                Revision(checkout(arguments.new, Path(folder) / "new-code"), Path(folder) / "new"),
            ]
            print("| case | | seconds, old | new |\n|---|---|---|---|", flush=True)
            for name in arguments.only or CASES:
                (old, seconds), (new, new_seconds) = both.map(Revision.train, sides, [name] * 2)
                found = old if isinstance(old, str) else new if isinstance(new, str) else first_difference(old, new)
                different += bool(found)
                print(f"| {name} | {found or 'equal'} | {seconds:.0f} | {new_seconds:.0f} |", flush=True)
        finally:
            stop()  # otherwise the commands outlive this process after SIGTERM or Ctrl-C
    sys.exit(different > 0)


def first_difference(old: Arrays, new: Arrays) -> str:
    """Describes the first array that differs and counts all that differ; empty if all are equal bit by bit.

    Columns of the history that only one side has are ignored.
    """
    if odd := sorted(name for name in old.keys() ^ new.keys() if not name.startswith(HISTORY)):
        return f"{len(odd)} arrays are on one side only, such as {odd[0]}"
    different = [name for name in old if name in new and _bits(old[name]) != _bits(new[name])]
    if not different:
        return ""
    return (
        f"{len(different)} of {len(old)} arrays differ; {different[0]}: {_size(old[different[0]], new[different[0]])}"
    )


def _bits(array: NDArray[Any]) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def _size(old: NDArray[Any], new: NDArray[Any]) -> str:
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return f"{old.dtype} {old.shape} and {new.dtype} {new.shape}"
    ours, theirs = old.astype(float), new.astype(float)
    return f"by up to {np.nanmax(np.abs(ours - theirs)):.2g}, of values up to {np.nanmax(np.abs(ours)):.2g}"


if __name__ == "__main__":
    main()
