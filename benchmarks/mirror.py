"""Cost to the training of copying checkpoints to a bucket: `python -m benchmarks.mirror --dataset data/prepared`.

The same loop runs in turns with checkpoints on this machine only and with copies in an emulated bucket. Two figures are
measured: images per second of elapsed time, which an emulator on the same machine slows more than a bucket would; and
processor seconds of the training process per thousand images, which exclude the emulator. `--every` is the number of
seconds between two checkpoints. The cost at `train.checkpoint_every_seconds` is the measured cost times `--every`
divided by `train.checkpoint_every_seconds`.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine
from components.cli.parameters import read_section
from components.cli.tensorflow_settings import configure_tensorflow
from components.storage.bucket import Address
from components.storage.mirror import mirrored
from components.training.build import fitted
from gan_core.config import TrainConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.training.hooks import NoHooks

_BUCKET = "benchmark"


def main() -> None:
    """Measures both sides and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="params.yaml")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000, help="steps of a round")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two checkpoints")
    arguments = parser.parse_args()
    dataset = PreparedDataset(arguments.dataset)
    config, _, _ = fitted(read_section(arguments.config, TrainConfig), dataset)
    usual = config.checkpoint_every_seconds
    config = config.model_copy(update={"steps": arguments.steps, "checkpoint_every_seconds": arguments.every})
    configure_tensorflow()

    found: dict[str, list[tuple[float, float]]] = {"this machine": [], "bucket": []}
    with tempfile.TemporaryDirectory() as folder, _Emulator():
        for number in range(arguments.rounds):
            places = {"this machine": Path(folder), "bucket": Address(_BUCKET, "checkpoints")}
            for name, place in places.items():
                found[name].append(_measure(config, dataset, place, f"round-{number}"))
            print(f"round {number + 1}: { ({name: one[-1] for name, one in found.items()}) }")
    print(machine())
    print(f"{arguments.steps} steps a round, a checkpoint every {arguments.every} s")
    print("| | images per second, median | processor seconds for 1,000 images, median |\n|---|---|---|")
    for name, one in found.items():
        rates, seconds = zip(*one, strict=True)
        print(f"| {name} | {statistics.median(rates):.0f} | {statistics.median(seconds):.4f} |")
    costs = [theirs / ours - 1 for (_, ours), (_, theirs) in zip(*found.values(), strict=True)]
    cost = statistics.median(costs)
    print(
        f"Copies cost {cost:.1%} of the training's processor time (rounds: {min(costs):.1%} to {max(costs):.1%}); "
        f"with a checkpoint every {usual:g} s, {cost * arguments.every / usual:.2%}."
    )


class _Emulator:
    """A storage emulator in a separate process, which the clients of this process use."""

    def __enter__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [str(Path(sys.executable).with_name("gcp-storage-emulator")), "start", "--in-memory"]
        options = ["--host", "127.0.0.1", "--port", str(port), "--default-bucket", _BUCKET]
        self._process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        time.sleep(3)
        os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def _measure(config: TrainConfig, dataset: PreparedDataset, place: Path | Address, key: str) -> tuple[float, float]:
    """Returns images per second and processor seconds per thousand images, from the first step to the last copy."""
    from gan_core.training.batches import RealBatches
    from gan_core.training.loop import Training
    from gan_core.training.state import Gan

    class FromTheFirstStep(NoHooks):
        """Starts the measurement after the first step, so that compilation does not count."""

        clock = processor = 0.0
        counted_from = 0

        def on_step(self, images_seen: int) -> None:
            if not self.clock:
                self.clock, self.processor = time.perf_counter(), time.process_time()
                self.counted_from = images_seen

    hooks = FromTheFirstStep()
    classes = len(dataset.manifest.classes) if config.conditional == "on" else 0
    gan = Gan(config, dataset.manifest.shape, classes)
    with mirrored(place, key, config.checkpoints_kept) as (_, checkpoints):
        Training(gan, RealBatches(dataset.split("train"), config), checkpoints).run(hooks)
    images = gan.images_seen - hooks.counted_from
    return images / (time.perf_counter() - hooks.clock), (time.process_time() - hooks.processor) / images * 1000


if __name__ == "__main__":
    main()
