"""Turns raw data into a prepared data set: shards, manifest, preview.

Items are stored in the order of their digests, and an item's digest alone decides its split. So the result does not
depend on the order or the names of the files. Adding items does not move other items to another split, and all copies
of an item are in one split. A digest is that of the decoded item: the codec, which may learn from the training split,
encodes the items afterwards.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import stored
from gan_core.codecs.codec import Codec
from gan_core.codecs.grid import write_png
from gan_core.config import Pairs
from gan_core.data.engine import Engine, Form, InProcess
from gan_core.data.manifest import ClassEntry, Manifest, RejectedEntry, ShardEntry, Split
from gan_core.data.parameters import PrepareConfig
from gan_core.data.shards import ItemsOf, Store, shard_tasks, write_shard
from gan_core.data.sources import Source
from gan_core.errors import InvalidInput
from gan_core.modalities import MODALITIES
from gan_core.output_files import MANIFEST_FILE

PREVIEW_FILE_NAME = "preview.png"
_REJECTED_NAMED = 5
_PREVIEW_ROWS = 10
_PREVIEW_COLUMNS = 10

SplitIndices = Mapping[Split, NDArray[np.int64]]


def prepare(source: Source, config: PrepareConfig, folder: str | Path, engine: Engine | None = None) -> Manifest:
    """Decodes the source's items and writes them to `folder`, which must not exist.

    Args:
        source: the raw data.
        config: the parameters of the preparation.
        folder: gets the shards, the manifest and the preview.
        engine: does the work; None for this process. The files do not depend on it.

    Raises:
        InvalidInput: too many items were rejected, or a split would be empty.

    >>> config = PrepareConfig.parse(params["prepare"] | {"source": "digits"})
    >>> manifest = prepare(open_source(config.source), config, Path("prepared"))
    >>> manifest.shape, manifest.counts
    ((16, 16, 1), {'train': 1322, 'held_out': 475})
    """
    folder = Path(folder)
    folder.mkdir()
    modality = MODALITIES[source.modality]
    settings = modality.resolved(config.of(source.modality), source)
    form = Form(functools.partial(modality.decode, settings=settings), *modality.decoded(settings))
    engine = engine or InProcess(folder)
    with engine.decoded(source, form) as (store, rejected):
        rejected.sort(key=lambda entry: entry.path)
        _require_few_rejected(rejected, source, config)
        classes = list(source.classes)
        _require_items_of_each_class(store, source, rejected, config)
        labels = store.labels.astype(np.int64) if classes else np.zeros(len(store.labels), np.int64)
        indices = _split_indices(store, labels, source, config)
        codec = modality.fit(ItemsOf(store, indices["train"]), ItemsOf(store, indices["held_out"]), settings)
        tasks = [
            task
            for split, chosen in indices.items()
            for task in shard_tasks(
                folder,
                split,
                ItemsOf(store, chosen),
                labels[chosen] if classes else None,
                codec=codec,
                pairs=modality.pairs(settings),
                images_per_shard=config.images_per_shard,
            )
        ]
        shards = list(engine.map(write_shard, tasks))
        entries = tuple(ShardEntry.model_validate_json(shard["entry"].item()) for shard in shards)
        mean, standard_deviation = _statistics(
            [shard["histogram"] for shard, entry in zip(shards, entries, strict=True) if entry.split == "train"]
        )
        write_png(folder / PREVIEW_FILE_NAME, _preview(store, codec, indices["train"], labels, classes))
        manifest = Manifest(
            format=1,
            digest=_digest(store, codec, indices, labels, classes, pairs=modality.pairs(settings)),
            source=config.source,
            shape=codec.shape,
            codec=stored(codec),
            counts={split: len(chosen) for split, chosen in indices.items()},
            classes=_class_entries(classes, labels, indices),
            mean=mean,
            standard_deviation=standard_deviation,
            settings=config.recorded(source.modality, settings),
            shards=entries,
            rejected=tuple(rejected),
        ).sealed()
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def is_held_out(digest: bytes, seed: int, fraction: float) -> bool:
    """Whether an item is held out: the first 64 bits of SHA-256(seed, its digest) / 2⁶⁴ are below `fraction`."""
    draw = hashlib.sha256(seed.to_bytes(8, "little") + digest).digest()
    return int.from_bytes(draw[:8], "big") < fraction * 2**64


def _require_few_rejected(rejected: Sequence[RejectedEntry], source: Source, config: PrepareConfig) -> None:
    if len(rejected) > config.max_rejected_fraction * source.count:
        named = "; ".join(f"{entry.path}: {entry.reason}" for entry in rejected[:_REJECTED_NAMED])
        more = "; …" if len(rejected) > _REJECTED_NAMED else ""
        raise InvalidInput(
            f"The share of unusable {MODALITIES[source.modality].item}s must be at most "
            f"max_rejected_fraction={config.max_rejected_fraction}. Received: {len(rejected)} of {source.count} in "
            f"{config.source}: {named}{more}"
        )


def _require_items_of_each_class(
    store: Store, source: Source, rejected: Sequence[RejectedEntry], config: PrepareConfig
) -> None:
    usable = set(store.labels.tolist())
    lost = [name for label, name in enumerate(source.classes) if label not in usable]
    if lost:
        reasons = [f"; {entry.path}: {entry.reason}" for entry in rejected if f"/{lost[0]}/" in f"/{entry.path}"]
        raise InvalidInput(
            f"Each class must have a usable {MODALITIES[source.modality].item}. Received: {config.source} with "
            f"{len(lost)} that have none: {', '.join(lost[:_REJECTED_NAMED])}{''.join(reasons[:1])}"
        )


def _split_indices(
    store: Store, labels: NDArray[np.int64], source: Source, config: PrepareConfig
) -> dict[Split, NDArray[np.int64]]:
    """Returns each split's indices in the store, in the order of the shards: by digest, then by label."""
    digests = store.digests
    order = np.lexsort((labels, *digests.view(">u8").T[::-1]))
    held_out = np.array(
        [is_held_out(digests[index].tobytes(), config.seed, config.held_out_fraction) for index in order], bool
    )
    if held_out.all() or not held_out.any():
        item, different = MODALITIES[source.modality].item, len(np.unique(digests, axis=0))
        raise InvalidInput(
            f"Both splits, train and held-out, must get at least one {item}, and all copies of one are in the same "
            f"split. Add different {item}s, or change seed or held_out_fraction. Received: {different} different "
            f"{item}{'s' * (different != 1)} in {config.source}, {'all' if held_out.any() else 'none'} of them held "
            f"out with held_out_fraction={config.held_out_fraction}, seed={config.seed}"
        )
    return {"train": order[~held_out], "held_out": order[held_out]}


def _statistics(histograms: Sequence[NDArray[np.int64]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns each channel's mean and standard deviation from the shards' histograms, which are exact in any order."""
    histogram = np.int64(0) + sum(histograms)
    levels = np.arange(256)
    mean = histogram @ levels / histogram.sum(axis=1)
    variance = (histogram * (levels - mean[:, None]) ** 2).sum(axis=1) / histogram.sum(axis=1)
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())


def _digest(
    store: Store,
    codec: Codec,
    indices: SplitIndices,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    pairs: Pairs,
) -> str:
    """Returns the digest of all that decides the content.

    These are the shape, class names, counts, pairs and codec, and each split's item digests and labels in order.
    """
    counts = {split: len(chosen) for split, chosen in indices.items()}
    paired = [] if pairs == "none" else [pairs]
    encoded = [] if stored(codec) is None else [codec.model_dump(mode="json")]
    sha256 = hashlib.sha256(json.dumps([codec.shape, classes, counts, *paired, *encoded]).encode())
    for chosen in indices.values():
        sha256.update(store.digests[chosen].tobytes())
        sha256.update(labels[chosen].astype("<i4").tobytes())
    return f"sha256-{sha256.hexdigest()}"


def _class_entries(classes: Sequence[str], labels: NDArray[np.int64], indices: SplitIndices) -> tuple[ClassEntry, ...]:
    train, held_out = (np.bincount(labels[indices[split]], minlength=len(classes)) for split in ("train", "held_out"))
    return tuple(
        ClassEntry(name=name, train=int(train[label]), held_out=int(held_out[label]))
        for label, name in enumerate(classes)
    )


def _preview(
    store: Store, codec: Codec, indices: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str]
) -> NDArray[np.uint8]:
    """Returns a grid of training items, with a row for each of the first classes if there are classes."""
    first = [indices[start : start + _PREVIEW_COLUMNS] for start in range(0, len(indices), _PREVIEW_COLUMNS)]
    of_class = [indices[labels[indices] == label] for label in range(labels.max() + 1)]
    rows = [row[:_PREVIEW_COLUMNS] for row in (of_class if classes else first)[:_PREVIEW_ROWS]]
    arrays = np.stack([codec.encode(store.read(index)) for row in rows for index in row])
    filled = np.array([column < len(row) for row in rows for column in range(_PREVIEW_COLUMNS)])
    return codec.grid(arrays, _PREVIEW_COLUMNS, names=classes, filled=filled)
