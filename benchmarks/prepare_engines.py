"""Wall time, processor time and memory of `prepare` in one process and on Apache Beam's workers, for generated images.

`.venv-beam/bin/python -m benchmarks.prepare_engines` (after `make .venv-beam/done`) writes folders of PNG files with
random pixels, 28 × 28, in ten classes, and prepares each folder with every engine. It checks that all engines wrote the
same bytes. Memory is the largest sum over the command's processes, sampled five times a second; pages that processes
share count more than once. Beam's FnApiRunner keeps everything between two steps in memory; other runners do not.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks.machine import machine
from gan_core.digests import file_digest
from pipelines import parameters

_TWO = ["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
_ENGINES = {
    "one process": [],
    "Beam, one worker": ["--engine", "beam", "--", "--runner", "FnApiRunner"],
    "Beam, two worker processes": ["--engine", "beam", "--", "--runner", "FnApiRunner", *_TWO],
}


@dataclass(frozen=True)
class Usage:
    """What a command needed.

    Attributes:
        seconds: wall time.
        processor_seconds: processor time of all its processes, sampled.
        megabytes: the largest resident memory of all its processes together.
    """

    seconds: float
    processor_seconds: float
    megabytes: float


def main() -> None:
    """Measures each engine with each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--most-in-two", type=int, default=100_000, help="images up to which two workers are measured")
    parser.add_argument("--folder", type=Path, help="where the files are written (default: the temporary folder)")
    arguments = parser.parse_args()
    print(machine())
    print("| images | engine | wall time, s | processor time, s | memory, MB |\n|---|---|---|---|---|")
    for count in arguments.counts:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            _write_images(Path(folder, "raw"), count)
            digests = set()
            for name, options in _ENGINES.items():
                if "two" in name and count > arguments.most_in_two:
                    continue
                used = _measure(Path(folder), options)
                digests.add(_content(Path(folder, "prepared")))
                shutil.rmtree(Path(folder, "prepared"))
                figures = f"{used.seconds:.1f} | {used.processor_seconds:.1f} | {used.megabytes:,.0f}"
                print(f"| {count:,} | {name} | {figures} |", flush=True)
            if len(digests) > 1:
                sys.exit(f"the engines wrote different bytes for {count} images")


def _write_images(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
    for number in range(count):
        content = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (28, 28), np.uint8)).save(content, "png", compress_level=1)
        (folder / str(number % 10) / f"{number}.png").write_bytes(content.getvalue())


def _measure(folder: Path, options: list[str]) -> Usage:
    section = parameters.read(Path("params.yaml"))["prepare"] | {"source": str(folder / "raw")}
    command = [sys.executable, "-m", "components.prepare", "--config", json.dumps(section)]
    started = time.perf_counter()
    with subprocess.Popen(  # noqa: S603
        [*command, "--dataset", str(folder / "prepared"), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        seconds_of: dict[int, float] = {}
        largest = 0
        while process.poll() is None:
            largest = max(largest, _sample(process.pid, seconds_of))
            time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return Usage(time.perf_counter() - started, sum(seconds_of.values()), largest / 1e6)


def _sample(command: int, seconds_of: dict[int, float]) -> int:
    """Returns the bytes of resident memory of a command's processes, and notes their processor time."""
    total = 0
    try:
        root = psutil.Process(command)
        for process in (root, *root.children(recursive=True)):
            with process.oneshot():
                times = process.cpu_times()
                seconds_of[process.pid] = times.user + times.system
                total += process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
    return total


def _content(folder: Path) -> str:
    return " ".join(f"{path.name} {file_digest(path)}" for path in sorted(folder.iterdir()))


if __name__ == "__main__":
    main()
