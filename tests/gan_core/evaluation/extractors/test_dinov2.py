"""The DINOv2 network and its input, compared with NumPy computations by formula. tests/peers compares it with timm."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from dinov2_weights import SMALL, random_dinov2
from PIL import Image

from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.dinov2 import IMAGES_AT_ONCE, Dinov2Extractor, resized
from gan_core.evaluation.extractors.dinov2_network import (
    STORED_PATCHES,
    build_network,
    load_tensors,
    resized_positions,
    shapes,
)
from gan_core.evaluation.extractors.weights import DINOV2, Weights, load_weights


@pytest.fixture(scope="module")
def extractor() -> Dinov2Extractor:
    return Dinov2Extractor(Weights("sha256-test", random_dinov2()), SMALL)


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def normalised(x: np.ndarray, tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def features_by_formula(levels: np.ndarray, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Computes the network for one image [224, 224, 3], token by token, in float64."""
    tensors = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    head = SMALL.width // SMALL.heads

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    squares = [levels[14 * i : 14 * i + 14, 14 * j : 14 * j + 14] for i in range(16) for j in range(16)]
    kernel = tensors["patch_embed.proj.weight"].reshape(SMALL.width, -1)
    patches = np.stack([kernel @ square.transpose(2, 0, 1).ravel() for square in squares])
    patches += tensors["patch_embed.proj.bias"] + resized_positions(tensors["pos_embed"][0, 1:])
    x = np.concatenate([tensors["cls_token"][0] + tensors["pos_embed"][0, :1], patches])
    for block in (f"blocks.{number}" for number in range(SMALL.blocks)):
        three = dense(normalised(x, tensors, f"{block}.norm1"), f"{block}.attn.qkv")
        query, key, value = three.reshape(len(x), 3, SMALL.heads, head).transpose(1, 2, 0, 3)
        shares = scipy.special.softmax(query @ key.transpose(0, 2, 1) / np.sqrt(head), axis=-1)
        mixed = (shares @ value).transpose(1, 0, 2).reshape(len(x), SMALL.width)
        x = x + tensors[f"{block}.ls1.gamma"] * dense(mixed, f"{block}.attn.proj")
        wide = dense(normalised(x, tensors, f"{block}.norm2"), f"{block}.mlp.fc1")
        wide = wide * (1 + scipy.special.erf(wide / np.sqrt(2))) / 2
        x = x + tensors[f"{block}.ls2.gamma"] * dense(wide, f"{block}.mlp.fc2")
    return normalised(x[0], tensors, "norm")


def test_the_features_are_those_of_the_formula(extractor: Dinov2Extractor) -> None:
    pictures = images(2, 40, 30, 3)
    expected = np.stack([features_by_formula(levels, random_dinov2()) for levels in resized(pictures)])
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    np.testing.assert_allclose(extractor(pictures), expected, atol=1e-4 * np.abs(expected).max())


def test_every_tensor_but_the_mask_token_changes_the_features() -> None:
    levels, draws = resized(images(1, 20, 20, 3)), np.random.default_rng(2)
    network = build_network(SMALL)
    load_tensors(network, random_dinov2(), SMALL)
    before = network(levels).numpy()
    without_effect = []
    for name, tensor in random_dinov2().items():
        changed = tensor + draws.standard_normal(tensor.shape, np.float32)
        load_tensors(network, {**random_dinov2(), name: changed}, SMALL)
        if np.abs(network(levels).numpy() - before).max() < 1e-3:
            without_effect.append(name)
    assert without_effect == ["mask_token"]


def test_the_large_network_is_that_of_the_published_file() -> None:
    assert len(shapes()) == 343
    assert sum(np.prod(shape) for shape in shapes().values()) == 304_368_640
    assert shapes()["blocks.23.mlp.fc2.weight"] == (1024, 4096)


def test_positions_are_sampled_from_the_stored_ones() -> None:
    rows, columns = np.mgrid[:STORED_PATCHES, :STORED_PATCHES].reshape(2, -1).astype(np.float32)
    found = resized_positions(np.stack([rows, columns, np.ones_like(rows)], axis=-1)).reshape(16, 16, 3)
    places = (np.arange(16) + 0.5) * 37 / 16.1 - 0.5
    np.testing.assert_allclose(found[1:-1, :, 0], np.repeat(places[1:-1, None], 16, axis=1), atol=0.06)
    np.testing.assert_allclose(found[:, 1:-1, 1], np.repeat(places[None, 1:-1], 16, axis=0), atol=0.06)
    np.testing.assert_allclose(found[..., 2], 1, atol=1e-6)


def test_images_are_resized_to_whole_levels_and_scaled(extractor: Dinov2Extractor) -> None:
    for shape in ((1, 30, 50, 3), (1, 28, 28, 1), (1, 300, 224, 3)):
        [picture] = images(*shape)
        levels = np.asarray(Image.fromarray(picture.squeeze()).convert("RGB").resize((224, 224), Image.BICUBIC))
        expected = (levels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        np.testing.assert_allclose(resized(picture[None])[0], expected, atol=1e-6)
    assert extractor.resize == "pillow_bicubic_224"


def test_features_do_not_depend_on_the_batch(extractor: Dinov2Extractor) -> None:
    pictures = images(IMAGES_AT_ONCE + 3, 16, 16, 1)
    features = extractor(pictures)
    assert (features.shape, features.dtype, extractor.size) == ((len(pictures), 32), np.float32, 32)
    assert (extractor.name, extractor.digest, extractor.accuracy) == ("dinov2_unverified", "sha256-test", None)
    np.testing.assert_allclose(features[-1:], extractor(pictures[-1:]), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"register_tokens": np.zeros((1, 4, 32), np.float32)}, "register_tokens"),
        ({"blocks.0.ls1.gamma": np.full(32, np.nan, np.float32)}, r"blocks\.0\.ls1\.gamma"),
        ({"pos_embed": np.zeros((1, 257, 32), np.float32)}, "pos_embed"),
    ],
)
def test_weights_of_another_network_are_refused(changes: dict[str, np.ndarray], wrong: str) -> None:
    with pytest.raises(InvalidInput, match=rf"ViT-L/14 without registers: 35 finite tensors.*Received: .*{wrong}"):
        Dinov2Extractor(Weights("sha256-test", {**random_dinov2(), **changes}), SMALL)


def test_only_the_published_file_gives_the_plain_name() -> None:
    published = Weights(f"sha256-{DINOV2.sha256}", random_dinov2())
    assert Dinov2Extractor(published, SMALL).name == "dinov2"


WEIGHTS = os.environ.get("DINOV2_WEIGHTS")


@pytest.mark.skipif(not WEIGHTS, reason="needs DINOV2_WEIGHTS, Meta's file dinov2_vitl14_pretrain.pth")
def test_the_published_weights_tell_clothes_apart(tmp_path: Path) -> None:
    """The nearest other image of most clothes is of their own kind."""
    from gan_core.data.fashion_mnist import embedded

    pictures, labels = (part[:200] for part in embedded())
    extractor = Dinov2Extractor(load_weights(DINOV2, str(WEIGHTS), tmp_path))
    assert extractor.name == "dinov2"
    features = extractor(pictures[..., None])
    distances = np.linalg.norm(features[:, None] - features[None], axis=-1) + np.diag(np.full(len(features), np.inf))
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.6
