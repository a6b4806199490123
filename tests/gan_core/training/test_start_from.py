"""A training that starts from the networks of another training."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs
from recipes import small_training

from gan_core.codecs.text import TextCodec
from gan_core.errors import InvalidInput
from gan_core.output_files import STATE_FILE
from gan_core.training.draws import Batch
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep
from gan_core.training.warm_start import save_networks, start_from

SHAPE = (16, 16, 1)


def new_gan(**changes) -> Gan:
    return Gan(small_training(**changes), SHAPE)


@pytest.fixture(scope="module")
def trained() -> Gan:
    gan = new_gan(seed=1)
    for _ in range(3):
        TrainStep(gan)(Batch(blobs(8)[None, None]))
    return gan


@pytest.fixture(scope="module")
def content(trained: Gan, tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("model")
    save_networks(folder, trained)
    return (folder / STATE_FILE).read_bytes()


def changed(content: bytes, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{**np.load(io.BytesIO(content)), **arrays})
    return buffer.getvalue()


def test_only_the_networks_are_taken_from_the_other_training(trained: Gan, content: bytes) -> None:
    fresh, started = new_gan(), new_gan()
    start_from(started, content, "a version")
    theirs, ours, initial = trained.state(), started.state(), fresh.state()
    networks = [name for name in theirs if name.startswith(("generator/", "averaged_generator/", "discriminator/"))]
    assert len(networks) > 20
    for name in networks:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    for name in theirs.keys() - networks:
        np.testing.assert_array_equal(ours[name], initial[name], err_msg=name)
    assert (started.images_seen, trained.images_seen) == (0, 24)
    assert any((theirs[name] != initial[name]).any() for name in theirs.keys() - networks)
    latents = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    np.testing.assert_array_equal(started.sample(latents), trained.sample(latents))


def test_the_file_contains_only_the_networks(content: bytes) -> None:
    assert {name.partition("/")[0] for name in np.load(io.BytesIO(content))} == {
        *("generator", "averaged_generator", "discriminator")
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator_width": 4}, "is larger than"),
        ({"generator_width": 16}, r"is float32 .*, not float32"),
        ({"latent_size": 9}, "generator/0 is float32"),
    ],
)
def test_networks_of_other_parameters_are_refused(content: bytes, changes: dict[str, int], words: str) -> None:
    gan = new_gan(**changes)
    before = gan.state()
    with pytest.raises(InvalidInput, match=rf"(?=.*({words})).*Received: a version"):
        start_from(gan, content, "a version")
    for name, array in gan.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_refusal_names_the_parameters_that_differ(content: bytes) -> None:
    theirs = {"train.latent_size": "8", "train.depth": "1", "train.conditional": "on", "train.steps": "5"}
    differing = r"train\.latent_size=8, not 9; train\.conditional=on, not \w+$"
    with pytest.raises(InvalidInput, match=f"Received: a version with {differing}"):
        start_from(new_gan(latent_size=9), content, "a version", theirs)


def test_networks_for_another_alphabet_are_refused(tmp_path: Path) -> None:
    def of(alphabet: str) -> tuple[Gan, TextCodec]:
        codec = TextCodec(shape=(8, 1, 1), alphabet=alphabet)
        parameters = {"network": "text", "normalization": "none", "growth": 1}
        return Gan(small_training(**parameters), codec.shape, symbols=codec.symbols), codec

    other, codec = of("abc")
    save_networks(tmp_path, other, codec)
    content = (tmp_path / STATE_FILE).read_bytes()
    start_from(other, content, "a version", codec=codec)
    for alphabet, extra, missing in (("abd", "c", "d"), ("abcé", "nothing", "é"), ("ab", "c", "nothing")):
        gan, codec = of(alphabet)
        with pytest.raises(InvalidInput, match=f"alphabet also has {extra} and lacks {missing}$"):
            start_from(gan, content, "a version", codec=codec)
    points = np.full(255, 2**32 - 1, np.uint32)
    with pytest.raises(InvalidInput, match=r"Received: a version$"):
        start_from(other, changed(content, alphabet=points), "a version", codec=codec)


def test_damaged_and_hostile_files_are_refused(content: bytes, tmp_path: Path) -> None:
    bomb = io.BytesIO(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, bytes(10_000_000) if name == names[0] else b"")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        first = np.load(archive.open(names[0]))
    key = names[0].removesuffix(".npy")
    pickled = io.BytesIO()
    np.savez(pickled, **{**np.load(io.BytesIO(content)), key: np.array([print], object)})
    for damaged, rule in (
        (b"", "not a zip"),
        (content[: len(content) // 2], "not a zip"),
        (bomb.getvalue(), "is larger than"),
        (pickled.getvalue(), "allow_pickle=False|is larger than"),
        (changed(content, extra=np.zeros(1)), "only one has extra"),
        (changed(content, **{key: first.astype(np.float16)}), "is float16"),
        (changed(content, **{key: np.full_like(first, np.nan)}), "is not finite"),
    ):
        with pytest.raises(InvalidInput, match=rf"(?s)(?=.*({rule})).*Received: a version"):
            start_from(new_gan(), damaged, "a version")
