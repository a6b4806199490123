"""Small prepared data sets for the tests, written without the prepare stage."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from gan_core.config import Pairs
from gan_core.data.manifest import ClassEntry, Manifest, ShardEntry
from gan_core.data.pairs import input_of
from gan_core.output_files import MANIFEST_FILE


def write_dataset(
    folder: Path, train: np.ndarray, held_out: np.ndarray, classes: int = 0, pairs: Pairs = "none"
) -> Path:
    """Writes uint8 images [N, H, W, C] of two splits as one shard each; with classes, image i has label i % classes."""
    folder.mkdir(parents=True)
    shards = []
    for split, images in (("train", train), ("held_out", held_out)):
        labels = (np.arange(len(images)) % classes).astype(np.int32) if classes else None
        np.save(folder / f"{split}-00000.npy", images)
        if labels is not None:
            np.save(folder / f"{split}-00000-labels.npy", labels)
        if pairs != "none":
            np.save(folder / f"{split}-00000-inputs.npy", np.stack([input_of(image, pairs) for image in images]))
        shards.append(
            ShardEntry(
                split=split,
                count=len(images),
                images=f"{split}-00000.npy",
                images_sha256=_sha256(folder / f"{split}-00000.npy"),
                labels=None if labels is None else f"{split}-00000-labels.npy",
                labels_sha256=None if labels is None else _sha256(folder / f"{split}-00000-labels.npy"),
                inputs=None if pairs == "none" else f"{split}-00000-inputs.npy",
                inputs_sha256=None if pairs == "none" else _sha256(folder / f"{split}-00000-inputs.npy"),
            )
        )
    manifest = Manifest(
        format=1,
        digest=f"sha256-{hashlib.sha256(train.tobytes() + held_out.tobytes()).hexdigest()}",
        source="synthetic",
        shape=train.shape[1:],
        counts={"train": len(train), "held_out": len(held_out)},
        classes=tuple(
            ClassEntry(name=str(c), train=len(train[c::classes]), held_out=len(held_out[c::classes]))
            for c in range(classes)
        ),
        mean=tuple(train.mean(axis=(0, 1, 2))),
        standard_deviation=tuple(train.std(axis=(0, 1, 2))),
        settings={"source": "synthetic"},
        shards=tuple(shards),
        rejected=(),
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return folder


def blobs(count: int, resolution: int = 16, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Returns images with one soft blob at a random position, uint8 [count, resolution, resolution, channels]."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(0.25, 0.75, (count, 1, 1, 2)) * resolution
    rows, columns = np.mgrid[:resolution, :resolution]
    distance = (rows - centres[..., 0]) ** 2 + (columns - centres[..., 1]) ** 2
    image = 255 * np.exp(-distance / (0.02 * resolution**2))
    return np.repeat(image[..., None], channels, axis=-1).astype(np.uint8)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
