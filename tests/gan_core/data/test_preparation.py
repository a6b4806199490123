"""Tests of gan_core/data/prepare.py."""

import functools
import hashlib
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_core.config import Pairs
from gan_core.data.engine import InProcess
from gan_core.data.manifest import Manifest
from gan_core.data.pairs import input_of
from gan_core.data.prepare import PREVIEW_FILE_NAME, is_held_out, prepare
from gan_core.data.prepared import PreparedDataset
from gan_core.data.sources import RawItem, Source
from gan_core.errors import InvalidInput
from gan_core.modalities.choice import open_source

Settings = Callable[..., Any]


class Arrays:
    """A source whose images are made when they are opened."""

    def __init__(self, make: Callable[[int], np.ndarray], labels: Sequence[int], classes: Sequence[str] = ()) -> None:
        self.modality = "image"
        self.classes, self.count = classes, len(labels)
        self.taken = 0
        self._make, self._labels = make, labels

    def __iter__(self) -> Iterator[RawItem]:
        for index, label in enumerate(self._labels):
            self.taken += 1
            yield RawItem(f"{index}.png", label, functools.partial(self._open, index))

    def _open(self, index: int) -> Image.Image:
        return Image.fromarray(self._make(index))


def _noise(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (16, 16), np.uint8)


def _unreadable(index: int) -> np.ndarray:
    if index % 2:
        raise OSError(f"broken {index}")
    return _noise(index)


def _prepare(source: Source, config: Any, folder: Path) -> tuple[Manifest, PreparedDataset]:
    manifest = prepare(source, config, folder)
    assert manifest.seal
    return manifest, PreparedDataset(folder)


def _rows(dataset: PreparedDataset, split: str) -> list[tuple[bytes, int]]:
    images = dataset.split(split)
    indices = np.arange(images.count)
    labels = images.labels(indices) if images.labelled else -np.ones(images.count, int)
    return [(image.tobytes(), int(label)) for image, label in zip(images.images(indices), labels, strict=True)]


@pytest.mark.parametrize(
    ("source", "resolution", "digest"),
    [
        ("digits", 16, "b5513dde7f34990a92613a7a42584d882efe6d3e3302d298288c46241a5831dc"),
        ("embedded", 28, "c30c7a1b462d1c04f317b76890f338d27b64f4379d2f565315209ae188c4e215"),
    ],
)
def test_built_in_data_has_the_same_digest_on_every_machine(
    source: str, resolution: int, digest: str, tmp_path: Path, prepare_config: Settings
) -> None:
    config = prepare_config(
        source=source, height=resolution, width=resolution, held_out_fraction=0.25, images_per_shard=4096
    )

    manifest, _ = _prepare(open_source(source), config, tmp_path / "prepared")

    assert manifest.digest == f"sha256-{digest}"


def test_every_image_is_in_one_split_with_its_label(tmp_path: Path, prepare_config: Settings) -> None:
    labels = [index % 3 for index in range(50)]

    manifest, dataset = _prepare(Arrays(_noise, labels, "abc"), prepare_config(), tmp_path / "prepared")

    rows = _rows(dataset, "train") + _rows(dataset, "held_out")
    assert sorted(rows) == sorted((_noise(index).tobytes(), label) for index, label in enumerate(labels))
    assert sum(manifest.counts.values()) == 50
    for label, entry in enumerate(manifest.classes):
        assert entry.name == "abc"[label]
        assert entry.train == sum(row[1] == label for row in _rows(dataset, "train"))
        assert entry.held_out == sum(row[1] == label for row in _rows(dataset, "held_out"))


def test_shards_have_the_configured_size_and_recorded_digests(tmp_path: Path, prepare_config: Settings) -> None:
    manifest, _ = _prepare(Arrays(_noise, [0] * 50, "a"), prepare_config(), tmp_path / "prepared")

    files = {"manifest.json", PREVIEW_FILE_NAME}
    for split, count in manifest.counts.items():
        sizes = [entry.count for entry in manifest.shards if entry.split == split]
        assert sizes == [7] * (count // 7) + [count % 7] * (count % 7 > 0)
    for entry in manifest.shards:
        for name, digest in ((entry.images, entry.images_sha256), (entry.labels, entry.labels_sha256)):
            assert hashlib.sha256((tmp_path / "prepared" / name).read_bytes()).hexdigest() == digest
            files.add(name)
    assert {path.name for path in (tmp_path / "prepared").iterdir()} == files


def test_the_statistics_are_those_of_the_train_split(tmp_path: Path, prepare_config: Settings) -> None:
    def make(index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 100 + index, (16, 16, 3), np.uint8)

    manifest, dataset = _prepare(Arrays(make, [-1] * 20), prepare_config(channels=3), tmp_path / "prepared")

    images = np.concatenate(list(dataset.split("train").batches(8))).astype(np.float64)
    assert manifest.mean == pytest.approx(images.mean(axis=(0, 1, 2)))
    assert manifest.standard_deviation == pytest.approx(images.std(axis=(0, 1, 2)))


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(12)), names=st.lists(st.text("abcxyz019", min_size=1), min_size=12, max_size=12))
def test_order_and_names_of_the_files_do_not_matter(
    prepare_config: Settings, order: Sequence[int], names: Sequence[str]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for index in order:
            path = folder / "raw" / "ab"[index % 2] / f"{names[index]}-{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_noise(index)).save(path)
        of_files, from_files = _prepare(open_source(str(folder / "raw")), prepare_config(), folder / "files")
        in_order, from_memory = _prepare(
            Arrays(_noise, [index % 2 for index in range(12)], "ab"), prepare_config(), folder / "memory"
        )

        assert of_files.digest == in_order.digest
        assert of_files.shards == in_order.shards
        assert _rows(from_files, "train") == _rows(from_memory, "train")


def test_the_digest_depends_only_on_pixels_labels_names_and_split(tmp_path: Path, prepare_config: Settings) -> None:
    def other(index: int) -> np.ndarray:
        return _noise(index) ^ np.uint8(index == 3)

    def digest(name: str, make: Any = _noise, labels: Any = (0, 1) * 6, classes: Any = "ab", **changes: Any) -> str:
        source = Arrays(make, labels, classes)
        return _prepare(source, prepare_config(**changes), tmp_path / name)[0].digest

    base = digest("base")
    assert digest("shards", images_per_shard=2) == base
    assert digest("source", source="elsewhere") == base
    assert (
        len(
            {
                base,
                digest("pixels", make=other),
                digest("labels", labels=(1, 0) * 6),
                digest("names", classes="ac"),
                digest("unlabelled", labels=[-1] * 12, classes=()),
                digest("split", seed=1),
            }
        )
        == 6
    )


@pytest.mark.parametrize("pairs", ["inpainting", "super_resolution"])
def test_pairs_add_verified_inputs_to_the_same_targets(tmp_path: Path, prepare_config: Settings, pairs: Pairs) -> None:
    source = Arrays(_noise, (0, 1) * 20, "ab")
    single, images = _prepare(source, prepare_config(), tmp_path / "single")
    paired, pictures = _prepare(source, prepare_config(pairs=pairs), tmp_path / "paired")
    again, _ = _prepare(source, prepare_config(pairs=pairs, images_per_shard=3), tmp_path / "again")
    assert paired.digest == again.digest != single.digest
    assert [(entry.images_sha256, entry.labels_sha256) for entry in paired.shards] == [
        (entry.images_sha256, entry.labels_sha256) for entry in single.shards
    ]
    for entry in paired.shards:
        assert hashlib.sha256((tmp_path / "paired" / entry.inputs).read_bytes()).hexdigest() == entry.inputs_sha256
    assert all(entry.inputs is None for entry in single.shards)
    for split in ("train", "held_out"):
        assert pictures.split(split).paired
        assert not images.split(split).paired
        indexs = np.arange(single.counts[split])[::-1]
        targets = images.split(split).images(indexs)
        np.testing.assert_array_equal(pictures.split(split).images(indexs), targets)
        expected = [input_of(target, pairs) for target in targets]
        np.testing.assert_array_equal(pictures.split(split).inputs(indexs), expected)


def test_the_digest_depends_on_the_kind_of_pairs(tmp_path: Path, prepare_config: Settings) -> None:
    source = Arrays(_noise, (0, 1) * 6, "ab")
    digests = {
        _prepare(source, prepare_config(pairs=pairs), tmp_path / pairs)[0].digest
        for pairs in ("none", "inpainting", "super_resolution")
    }
    assert len(digests) == 3


def test_all_copies_of_an_image_are_kept_in_one_split(tmp_path: Path, prepare_config: Settings) -> None:
    def source(last_label: int) -> Arrays:
        labels = [abs(last_label - index % 4) for index in range(80)]
        return Arrays(lambda index: _noise(index // 4), labels, "abcd")

    manifest, dataset = _prepare(source(0), prepare_config(), tmp_path / "prepared")
    reversed_labels, _ = _prepare(source(3), prepare_config(), tmp_path / "reversed")

    assert manifest.digest == reversed_labels.digest

    train, held_out = _rows(dataset, "train"), _rows(dataset, "held_out")
    assert not {image for image, _ in train} & {image for image, _ in held_out}
    assert sorted(train + held_out) == sorted((_noise(p // 4).tobytes(), p % 4) for p in range(80))


def test_adding_images_does_not_move_others_to_another_split(tmp_path: Path, prepare_config: Settings) -> None:
    _, few = _prepare(Arrays(_noise, [-1] * 30), prepare_config(), tmp_path / "few")
    _, many = _prepare(Arrays(_noise, [-1] * 60), prepare_config(), tmp_path / "many")

    assert set(_rows(few, "held_out")) < set(_rows(many, "held_out"))
    assert set(_rows(few, "train")) < set(_rows(many, "train"))


def test_the_held_out_share_matches_the_fraction() -> None:
    digests = [hashlib.sha256(bytes([seed % 256, seed // 256])).digest() for seed in range(4000)]

    for fraction in (0.1, 0.5, 0.9):
        share = np.mean([is_held_out(digest, 3, fraction) for digest in digests])
        assert abs(share - fraction) < 5 * (fraction * (1 - fraction) / 4000) ** 0.5


def test_rejected_images_are_listed_by_path(tmp_path: Path, prepare_config: Settings) -> None:
    source = Arrays(_unreadable, [index // 2 % 2 for index in range(24)], "ab")

    manifest, _ = _prepare(source, prepare_config(max_rejected_fraction=0.5), tmp_path / "prepared")

    expected = sorted((f"{index}.png", f"broken {index}") for index in range(1, 24, 2))
    assert [(entry.path, entry.reason) for entry in manifest.rejected] == expected
    assert sum(manifest.counts.values()) == 12


def test_a_class_without_a_usable_image_is_refused_by_name(tmp_path: Path, prepare_config: Settings) -> None:
    for index in range(24):
        path = tmp_path / "raw" / ("cats", "dogs")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"none") if index % 2 else Image.fromarray(_noise(index)).save(path)

    with pytest.raises(InvalidInput, match=r"with 1 that have none: dogs; dogs/1.png: not a PNG, JPEG or WebP image$"):
        _prepare(open_source(str(tmp_path / "raw")), prepare_config(max_rejected_fraction=0.5), tmp_path / "prepared")


def test_too_many_rejected_images_are_an_error_that_names_them(tmp_path: Path, prepare_config: Settings) -> None:
    config = prepare_config(max_rejected_fraction=0.49)

    with pytest.raises(InvalidInput, match=r"Received: 12 of 24 in digits: 1.png: broken 1; 11.png: broken 11; .*; …$"):
        _prepare(Arrays(_unreadable, [-1] * 24), config, tmp_path / "prepared")


@pytest.mark.parametrize("count", [1, 2])
def test_a_split_is_never_empty(count: int, tmp_path: Path, prepare_config: Settings) -> None:
    rule = r"Both .* must get at least one image, and all copies of one are in the same split\. .*"
    with pytest.raises(InvalidInput, match=rf"{rule}Received: 1 different image in digits, (all|none) of"):
        _prepare(Arrays(lambda _: _noise(0), [-1] * count), prepare_config(), tmp_path / "prepared")


def test_the_preview_shows_a_row_for_each_class(tmp_path: Path, prepare_config: Settings) -> None:
    source = Arrays(lambda p: np.full((16, 16), p % 3 * 100 + p // 3, np.uint8), [p % 3 for p in range(90)], "abc")

    _prepare(source, prepare_config(), tmp_path / "prepared")

    with Image.open(tmp_path / "prepared" / PREVIEW_FILE_NAME) as opened:
        preview = np.asarray(opened)
    names = preview.shape[1] - (2 + 10 * 82)  # a column with the names of the classes
    assert preview.shape[0] == 2 + 3 * 82
    assert 0 < names < 82
    for row in range(3):
        assert preview[row * 82 : (row + 1) * 82, :names].min() < 128 < preview[row * 82, :names].max()
        shown = preview[2 + row * 82 : 82 + row * 82, names + 2 : names + 82]
        assert ((shown >= row * 100) & (shown < row * 100 + 30)).all()


def test_the_preview_without_classes_shows_the_first_images(tmp_path: Path, prepare_config: Settings) -> None:
    source = Arrays(lambda index: np.full((16, 16), index, np.uint8), [-1] * 30)

    manifest, _ = _prepare(source, prepare_config(held_out_fraction=0.4), tmp_path / "prepared")

    with Image.open(tmp_path / "prepared" / PREVIEW_FILE_NAME) as opened:
        cells = np.asarray(opened)[42::82, 42::82].ravel()
    train = manifest.counts["train"]
    assert 10 < train < 20
    assert len(cells) == 20
    assert (cells[:train] < 30).all()
    assert (cells[train:] == 255).all()


def test_decoding_runs_only_a_few_images_ahead(tmp_path: Path, prepare_config: Settings) -> None:
    source = Arrays(_noise, [-1] * 1000)
    done, ahead = 0, 0

    def on_item() -> None:
        nonlocal done, ahead
        done += 1
        ahead = max(ahead, source.taken - done)

    prepare(source, prepare_config(), tmp_path / "prepared", InProcess(tmp_path, on_item))

    assert done == 1000
    assert ahead < 600


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path, prepare_config: Settings) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        prepare(Arrays(make, [-1] * count), config, tmp_path / str(count))
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak_bytes

    def make(index: int) -> np.ndarray:
        return np.full((64, 64, 3), index % 251, np.uint8)

    config = prepare_config(height=64, width=64, channels=3, images_per_shard=100_000)

    assert peak(900) - peak(300) < 900 * 64 * 64 * 3 / 10
