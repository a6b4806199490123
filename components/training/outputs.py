"""Writes a training's outputs: the generator's folder, the history, the grid of samples."""

from __future__ import annotations

import argparse
import base64
import csv
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from components.storage.output_kinds import SAMPLES_PAGE_TITLE
from components.storage.outputs import whole_output
from gan_core.metric_names import COLLAPSED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.tracking.tracker import TrainingTracker
    from gan_core.data.prepared import PreparedDataset
    from gan_core.training.loop import Training


def write_outputs(
    arguments: argparse.Namespace, training: Training, dataset: PreparedDataset, tracker: TrainingTracker
) -> None:
    """Writes the outputs that `arguments` names, all of them or none."""
    from gan_core.codecs import codec_of
    from gan_core.codecs.grid import write_png
    from gan_core.export import save_generator
    from gan_core.training.course import CourseRecord
    from gan_core.training.describe import describe_generator
    from gan_core.training.warm_start import save_networks

    images_seen = training.best.load_into(training.gan)
    row = next(row for row in reversed(training.history) if row["images_seen"] <= images_seen)
    metadata = describe_generator(training.gan, dataset)
    codec, images, in_row = codec_of(metadata), training.samples.grid(), training.samples.columns
    grid = codec.grid(images, in_row, names=metadata.classes)
    tracker.log_image(images_seen, "samples", grid)
    tracker.log_sounds(images_seen, "samples", codec.sounds(images[::in_row]))
    course = CourseRecord(
        moments=training.course.moments(images_seen, training.samples.images()),
        seconds=training.course.seconds,
        finished=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=machine(),
    )
    metadata = metadata.model_copy(
        update={
            "images_seen": images_seen,
            "collapsed": bool(row[COLLAPSED]),
            "tracking_run_id": tracker.run_id,
        }
    )
    with (
        whole_output(arguments.model) as model,
        whole_output(arguments.history) as history,
        whole_output(arguments.samples) as samples,
    ):
        save_generator(model, training.gan.averaged_generator, metadata)
        save_networks(model, training.gan, codec)
        course.write(model)
        columns = dict.fromkeys(name for row in training.history for name in row)
        with history.open("w", encoding="utf-8", newline="") as file:
            # Not every row has scores, and DVC's plots would draw an empty cell as 0.
            writer = csv.DictWriter(file, fieldnames=list(columns), restval="nan", lineterminator="\n")
            writer.writeheader()
            writer.writerows(training.history)
        write_png(samples, grid)
    if arguments.samples_page:
        with whole_output(arguments.samples_page) as page:
            page.write_text(_samples_page(grid, images_seen, codec.item), encoding="utf-8")


def _samples_page(grid: NDArray[np.uint8], images_seen: int, item: str) -> str:
    """Returns an HTML page with the grid of samples, because Kubeflow's page does not show a PNG file."""
    from gan_core.codecs.grid import png_bytes

    picture = base64.b64encode(png_bytes(grid)).decode()
    text = f"Samples after {images_seen:,} {item}s"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{SAMPLES_PAGE_TITLE}<p>{text}</p>'
        f'<img alt="{text}" style="image-rendering: pixelated; width: {2 * grid.shape[1]}px; max-width: 100%"'
        f' src="data:image/png;base64,{picture}"></html>\n'
    )


def machine() -> str:
    """Describes the hardware: GPUs, or else the processor and the number of its cores that this process may use."""
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    if devices:
        name = tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU")
        return f"{len(devices)} × {name}"
    processor = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return f"{len(os.sched_getaffinity(0))} CPU cores, {processor}"


def _lines(path: Path) -> list[str]:
    """Returns the lines of a text file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
