"""Tests of the modality text: from files to stored codes, and back to texts."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from gan_core.codecs import codec_of
from gan_core.codecs.text import TextCodec
from gan_core.config import TextSettings
from gan_core.data.parameters import PrepareConfig
from gan_core.data.prepare import prepare
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput, UnreadableItem
from gan_core.modalities.choice import open_source
from gan_core.modalities.text import Text

_SETTINGS = TextSettings(max_length=8)


def _points(text: str, settings: TextSettings = _SETTINGS) -> np.ndarray:
    return Text().decode(functools.partial(str, text), settings)


def test_a_file_has_no_classes_and_a_folder_has_a_class_for_each_file(tmp_path: Path) -> None:
    (tmp_path / "birds.txt").write_text("owl\ntit\n", encoding="utf-8")
    (tmp_path / "fish.TXT").write_text("cod\n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("ignored\n", encoding="utf-8")
    one = Text().open(tmp_path / "birds.txt")
    assert (one.modality, one.classes, one.count) == ("text", (), 2)
    assert [(item.path, item.label, item.open()) for item in one] == [
        ("birds.txt, text 1", -1, "owl"),
        ("birds.txt, text 2", -1, "tit"),
    ]
    both = Text().open(tmp_path)
    assert (list(both.classes), both.count) == (["birds", "fish"], 3)
    assert [(item.label, item.open()) for item in both] == [(0, "owl"), (0, "tit"), (1, "cod")]


def test_names_of_classes_do_not_depend_on_the_system(tmp_path: Path) -> None:
    for form, name in (("composed", "K\u00f6ln"), ("decomposed", "Ko\u0308ln")):
        (tmp_path / form).mkdir()
        (tmp_path / form / "Bonn.txt").write_text("ab\n")
        (tmp_path / form / f"{name}.txt").write_text("cd\n")
        assert open_source(str(tmp_path / form)).classes == ["Bonn", "K\u00f6ln"]


@pytest.mark.parametrize("names", [("a.txt", "a.TXT"), ("K\u00f6ln.txt", "Ko\u0308ln.txt")])
def test_two_files_of_one_class_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        (tmp_path / name).write_text("ab\n")
    with pytest.raises(InvalidInput, match=r"^Two files must not have the same class name\. Received: source="):
        open_source(str(tmp_path))


def test_a_source_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"must be a file of texts .*with no such file$"):
        Text().open(tmp_path)
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"must contain a text.*with the empty file empty\.txt$"):
        Text().open(tmp_path)
    (tmp_path / "more").mkdir()
    with pytest.raises(InvalidInput, match=r"must contain files.* and no folders\. Received: .*with more$"):
        Text().open(tmp_path)


def test_the_built_in_names_have_three_classes() -> None:
    source = Text().built_in["names"]()
    assert (source.classes, source.count) == (("female", "male", "surname"), 94_293)
    first = next(iter(source))
    assert (first.path, first.label, first.open()) == ("female, text 1", 0, "AARON")


def test_a_text_is_stored_as_codes_and_read_back() -> None:
    texts = ["bad", "cab", "a", "déjà vu"]
    arrays = [_points(text) for text in texts]
    assert {(array.shape, array.dtype.str) for array in arrays} == {((8,), "<u4")}
    assert Text().decoded(_SETTINGS) == ((8,), np.dtype("<u4"))
    codec = Text().fit(arrays[:2], arrays[2:], _SETTINGS)
    assert (codec.alphabet, codec.shape) == (" abcdjuvàé", (7, 1, 1))
    codes = [codec.encode(array) for array in arrays]
    assert {(code.shape, code.dtype) for code in codes} == {((7, 1, 1), np.dtype(np.uint8))}
    assert codes[0].ravel().tolist() == [3, 2, 5, 0, 0, 0, 0]
    assert [codec.text(code) for code in codes] == texts
    assert codec.text(np.array([2, 0, 3, 4, 0, 0, 0], np.uint8).reshape(7, 1, 1)) == "a"
    assert codec.text(np.array([2, 200, 3, 4, 0, 0, 0], np.uint8).reshape(7, 1, 1)) == "a"
    assert TextCodec.model_validate(codec.model_dump(mode="json")) == codec


def test_a_text_that_is_too_long_is_rejected_and_a_large_alphabet_refused() -> None:
    with pytest.raises(UnreadableItem, match=r"^9 symbols, more than prepare\.text\.max_length=8$"):
        _points("nine char")
    settings = TextSettings(max_length=256)
    with pytest.raises(InvalidInput, match=r"at most 255 different symbols\. .*256 symbols\. .*: U\+4E05 .*\) in 1, "):
        many = "".join(map(chr, range(0x4E00, 0x4F00)))
        Text().fit([_points(many, settings), _points(many[:5], settings)], [], settings)
    most = Text().fit([_points("".join(map(chr, range(0x4E00, 0x4EFF))), settings)], [], settings)
    assert most.encode(np.array([0x4EFE], "<u4"))[0, 0, 0] == 255


@pytest.mark.parametrize(
    "changes", [{"alphabet": "ba"}, {"alphabet": "aa"}, {"alphabet": "\x1b"}, {"alphabet": ""}, {"shape": (4, 4, 1)}]
)
def test_a_hostile_codec_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TextCodec.model_validate({"modality": "text", "shape": (4, 1, 1), "alphabet": "ab"} | changes)


def test_the_grid_shows_every_text_in_its_cell() -> None:
    codec = TextCodec(shape=(50, 1, 1), alphabet="abc")
    arrays = np.zeros((3, 50, 1, 1), np.uint8)
    arrays[0, :2] = 1
    arrays[2] = 3  # longer than what is shown
    grid = codec.grid(arrays, columns=3, names=["row"])
    assert (grid.ndim, grid.dtype, grid.shape[2]) == (3, np.uint8, 1)
    plain = codec.grid(arrays, columns=3)
    cells = np.split(plain[:, :-2, 0], 3, axis=1)
    assert [bool((cell < 128).any()) for cell in cells] == [True, False, True]


@pytest.mark.parametrize("alphabet", ["中国", "Иа", "abc"])
def test_a_picture_of_a_text_has_room_for_all_of_it(alphabet: str) -> None:
    codec = TextCodec(shape=(3, 1, 1), alphabet="".join(sorted(alphabet)))
    for code in range(1, len(alphabet) + 1):
        arrays = np.full((1, 3, 1, 1), code, np.uint8)
        alone, together = codec.picture(arrays[0])[:, :, 0], codec.pictures(arrays)[0][:, :, 0]
        assert (alone < 128).sum() == (together < 128).sum()
        assert together.shape[1] <= alone.shape[1] <= 14 * 41
        assert (alone[:, -2:] == 255).all()


def test_texts_are_prepared_and_read_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    words = {"even": [f"{number} times" for number in range(0, 40, 2)], "odd": [str(n) for n in range(1, 40, 2)]}
    for name, texts in words.items():
        (source / f"{name}.txt").write_text("\n".join([*texts, "far too long"]), encoding="utf-8")
    general = {"held_out_fraction": 0.5, "max_rejected_fraction": 0.1, "images_per_shard": 7, "label": "auto"}
    config = PrepareConfig.parse(
        {**general, "seed": 0, "source": str(source), "modality": "text", "text": {"max_length": 9}}
    )
    manifest = prepare(Text().open(source), config, tmp_path / "prepared")
    assert [entry.reason[:10] for entry in manifest.rejected] == ["12 symbols"] * 2
    dataset = PreparedDataset(tmp_path / "prepared")
    codec = codec_of(dataset.manifest)
    assert isinstance(codec, TextCodec)
    assert codec.shape == dataset.manifest.shape == (8, 1, 1)
    found: dict[str, list[str]] = {"even": [], "odd": []}
    for name in ("train", "held_out"):
        split = dataset.split(name)
        for start in range(split.count):
            position = np.array([start])
            label = dataset.manifest.classes[split.labels(position)[0]].name
            found[label].append(codec.text(split.images(position)[0]))
    assert {name: sorted(texts) for name, texts in found.items()} == {n: sorted(texts) for n, texts in words.items()}


def test_files_of_texts_decide_the_modality_only_if_there_are_no_others(tmp_path: Path) -> None:
    for name, texts in {"birds": "owl\ntit\n", "fish": "cod\n"}.items():
        (tmp_path / f"{name}.txt").write_text(texts, encoding="utf-8")
    assert open_source(str(tmp_path)).modality == "text"
    assert open_source(str(tmp_path / "birds.txt")).count == 2
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").touch()
    assert open_source(str(tmp_path)).modality == "image"
    assert open_source("names").modality == "text"


def test_another_codec_reads_a_text_up_to_the_first_symbol_that_it_lacks() -> None:
    one, other = TextCodec(shape=(4, 1, 1), alphabet="abz"), TextCodec(shape=(6, 1, 1), alphabet="abcd")
    arrays = np.array([[2, 1, 0, 0], [1, 3, 2, 0]], np.uint8)[:, :, None, None]  # ba, azb
    read = one.perceived(arrays, by=other)
    assert read.shape == (2, *other.shape)
    assert other.texts(read) == ["ba", "a"]
    np.testing.assert_array_equal(one.perceived(arrays, by=one), arrays)
    longer = np.array([[1, 2, 1, 2, 1, 2]], np.uint8)[:, :, None, None]
    assert one.texts(other.perceived(longer, by=one)) == ["abab"]
