"""Sizes and speeds of exported generators: `python -m benchmarks.exports`.

The networks are those of params.yaml and of some presets, with random weights. The time is processor time, so other
programs on the machine change it little; it counts all threads.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.generator_metadata import generator_metadata
from benchmarks.machine import machine
from components.cli.tensorflow_settings import configure_tensorflow
from components.exporting.check import compare, example_inputs
from components.exporting.formats import FORMATS
from gan_core.config import TrainConfig
from gan_core.exit_codes import run
from gan_core.recipes import IMAGES, with_recipe

CASES = {
    "params.yaml": ("dcgan, 28 × 28 × 1, 10 classes", (28, 28, 1), 10),
    "presets/speech.yaml": ("dcgan, 64 × 64 × 1 (sound), 3 classes", (64, 64, 1), 3),
    "presets/names.yaml": ("text, 32 places, 60 symbols, 3 classes", (32, 1, 60), 3),
    "presets/cifar10-sngan.yaml": ("resnet, 32 × 32 × 3", (32, 32, 3), 0),
    "presets/celeba64-r3gan.yaml": ("r3gan, 64 × 64 × 3", (64, 64, 3), 0),
}
_BATCH = 16


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="processor seconds measured for each figure")
    seconds = parser.parse_args().seconds
    configure_tensorflow()
    import tensorflow as tf

    print(machine())
    print("| network | format | MB | ms, one latent | ms each, 16 latents | largest difference |")
    print("|---|---|---|---|---|---|")
    for path, (name, shape, classes) in CASES.items():
        model, inputs = _network(path, shape, classes)
        network = tf.function(model, autograph=False, reduce_retracing=True)

        def keras(arrays: dict[str, Any], network: Any = network) -> Any:
            values = [*arrays.values()]
            return network(values if len(values) > 1 else values[0], training=False).numpy()

        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "generator.keras")
            _print(name, "Keras", Path(folder), [_time(keras, inputs, rows, seconds) for rows in (1, _BATCH)], "")
        for form, kind in FORMATS.items():
            with tempfile.TemporaryDirectory() as folder:
                written = kind.write(model, list(inputs), Path(folder))
                difference = compare(model, written, kind.rows, inputs)["largest_difference"]
                sizes = (1, _BATCH) if kind.rows is None else (1,)
                times = [_time(written, inputs, rows, seconds) for rows in sizes]
                _print(name, form, Path(folder), times, f"{difference:.0e}")


def _network(path: str, shape: tuple[int, int, int], classes: int) -> tuple[Any, dict[str, Any]]:
    """Returns the network of a file of parameters with random weights, and inputs for it."""
    from gan_core.networks.build import build_generator

    sections = [yaml.safe_load(Path(one).read_text(encoding="utf-8")) for one in ("params.yaml", path)]
    config = with_recipe(TrainConfig.parse(sections[0]["train"] | sections[1]["train"]), IMAGES).resolved(
        labelled=classes > 0
    )
    classes = classes if config.takes_labels else 0
    model = build_generator(config, shape, classes, synchronized=False, dtype="float32")
    random = np.random.default_rng(0)
    for variable in model.weights:  # r3gan starts with weights of 0, which the converters leave out
        variable.assign_add(0.01 * random.standard_normal(variable.shape))
    described = generator_metadata(config.latent_size, shape, classes)
    return model, example_inputs(described)


def _time(function: Callable[[dict[str, Any]], Any], inputs: dict[str, Any], rows: int, seconds: float) -> float:
    """Returns the median processor milliseconds for each of `rows` latents."""
    arrays = {name: array[:rows] for name, array in inputs.items()}
    function(arrays)
    times, started = [], time.process_time()
    while time.process_time() - started < seconds:
        before = time.process_time()
        function(arrays)
        times.append(time.process_time() - before)
    return 1000 * float(np.median(times)) / rows


def _print(name: str, form: str, folder: Path, times: list[float], difference: str) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    batch = f"{times[1]:.2f}" if len(times) > 1 else ""
    print(f"| {name} | {form} | {size / 1e6:.2f} | {times[0]:.2f} | {batch} | {difference} |", flush=True)


if __name__ == "__main__":
    run(main)
