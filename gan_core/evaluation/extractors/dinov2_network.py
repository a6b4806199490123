"""The vision transformer DINOv2 ViT-L/14, without registers, as a Keras model.

Its output is the class token after the last normalisation. The layers have the names of the published program's
modules, so that their weights can be found. The scale at the end of each branch (LayerScale) is folded into the
branch's last matrix.

The published positions are those of 37 × 37 patches. The published program resizes them to the 16 × 16 patches of an
image of 224 pixels by bicubic interpolation with the factor 16.1 / 37, not 16 / 37. That shifts them by up to a tenth
of a patch, and is part of the published features.

Reference: Oquab et al. 2023, arXiv 2304.07193; Dosovitskiy et al. 2020, arXiv 2010.11929.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from gan_core.evaluation.extractors.weights import require_tensors

SIDE = 224
PATCH = 14
PATCHES = SIDE // PATCH
"""Patches along a side of the image."""
STORED_PATCHES = 37
"""Patches along a side of the images of 518 pixels whose positions are published."""
POSITION_FACTOR = (PATCHES + 0.1) / STORED_PATCHES
_CUBIC = -0.75
_EPSILON = 1e-6
_EXPANSION = 4


@dataclass(frozen=True)
class Size:
    """A size of the network: numbers in a token, blocks, and attention heads in a block."""

    width: int
    blocks: int
    heads: int


LARGE = Size(width=1024, blocks=24, heads=16)
FEATURES = LARGE.width


class AddPositions(keras.layers.Layer):  # type: ignore[misc]
    """Adds a learned vector to each token: [B, tokens, width] → [B, tokens, width]."""

    def build(self, shape: tuple[int, ...]) -> None:
        """Creates the vectors, [tokens, width]."""
        self.positions = self.add_weight(shape=shape[1:], initializer="zeros", name="positions")

    def call(self, tokens: Any) -> Any:
        """Adds the vectors."""
        return tokens + self.positions


def build_network(size: Size = LARGE) -> Any:
    """Builds the network as a Keras model with zero weights, [B, 224, 224, 3] float32 → [B, width] float32."""
    images = keras.Input((SIDE, SIDE, 3))
    patches = keras.layers.Conv2D(size.width, PATCH, PATCH, kernel_initializer="zeros", name="patch_embed.proj")(images)
    patches = keras.layers.Reshape((PATCHES**2, size.width))(patches)
    # The first token is the class token. It begins as the vector that is added to its place.
    x = AddPositions(name="pos_embed")(keras.layers.ZeroPadding1D((1, 0))(patches))
    for block in range(size.blocks):
        x = _block(x, f"blocks.{block}", size)
    return keras.Model(images, _normalised(x[:, 0], "norm"))


def _block(x: Any, name: str, size: Size) -> Any:
    attention = keras.layers.MultiHeadAttention(
        size.heads, size.width // size.heads, kernel_initializer="zeros", name=f"{name}.attn"
    )
    y = _normalised(x, f"{name}.norm1")
    x = keras.layers.Add()([x, attention(y, y)])
    y = _normalised(x, f"{name}.norm2")
    y = keras.layers.Dense(
        _EXPANSION * size.width, keras.activations.gelu, kernel_initializer="zeros", name=f"{name}.mlp.fc1"
    )(y)
    y = keras.layers.Dense(size.width, kernel_initializer="zeros", name=f"{name}.mlp.fc2")(y)
    return keras.layers.Add()([x, y])


def _normalised(x: Any, name: str) -> Any:
    return keras.layers.LayerNormalization(epsilon=_EPSILON, name=name)(x)


def shapes(size: Size = LARGE) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the published program's tensors by name, with matrices as [out, in]."""
    width, wide = size.width, _EXPANSION * size.width
    found: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "mask_token": (1, width),
        "pos_embed": (1, 1 + STORED_PATCHES**2, width),
        "patch_embed.proj.weight": (width, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for block in (f"blocks.{number}" for number in range(size.blocks)):
        for layer, outputs, inputs in (
            ("attn.qkv", 3 * width, width),
            ("attn.proj", width, width),
            ("mlp.fc1", wide, width),
            ("mlp.fc2", width, wide),
        ):
            found |= {f"{block}.{layer}.weight": (outputs, inputs), f"{block}.{layer}.bias": (outputs,)}
        for layer in ("norm1", "norm2"):
            found |= {f"{block}.{layer}.weight": (width,), f"{block}.{layer}.bias": (width,)}
        found |= {f"{block}.ls1.gamma": (width,), f"{block}.ls2.gamma": (width,)}
    return found


def load_tensors(network: Any, tensors: Mapping[str, NDArray[np.float32]], size: Size = LARGE) -> None:
    """Sets the weights.

    Args:
        network: from `build_network`.
        tensors: the tensors of `shapes`. `mask_token` is used only in the training of the published network.
        size: the network's size.

    Raises:
        InvalidInput: a tensor is missing, unexpected, of another shape, or not finite.
    """
    require_tensors(tensors, shapes(size), "the DINOv2 network ViT-L/14 without registers")

    def load(name: str, *weights: NDArray[np.float32]) -> None:
        network.get_layer(name).set_weights(weights)

    def folded(layer: str, scale: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return tensors[f"{layer}.weight"].T * tensors[scale], tensors[f"{layer}.bias"] * tensors[scale]

    load("patch_embed.proj", tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0), tensors["patch_embed.proj.bias"])
    first, *stored = tensors["pos_embed"][0]
    load("pos_embed", np.concatenate([[tensors["cls_token"][0, 0] + first], resized_positions(np.array(stored))]))
    for block in (f"blocks.{number}" for number in range(size.blocks)):
        heads = (size.heads, size.width // size.heads)
        inputs: list[NDArray[np.float32]] = []
        for weight, bias in zip(
            np.split(tensors[f"{block}.attn.qkv.weight"], 3),
            np.split(tensors[f"{block}.attn.qkv.bias"], 3),
            strict=True,
        ):
            inputs += [weight.T.reshape(size.width, *heads), bias.reshape(heads)]
        kernel, bias = folded(f"{block}.attn.proj", f"{block}.ls1.gamma")
        load(f"{block}.attn", *inputs, kernel.reshape(*heads, size.width), bias)
        load(f"{block}.mlp.fc1", tensors[f"{block}.mlp.fc1.weight"].T, tensors[f"{block}.mlp.fc1.bias"])
        load(f"{block}.mlp.fc2", *folded(f"{block}.mlp.fc2", f"{block}.ls2.gamma"))
        for norm in (f"{block}.norm1", f"{block}.norm2"):
            load(norm, tensors[f"{norm}.weight"], tensors[f"{norm}.bias"])
    load("norm", tensors["norm.weight"], tensors["norm.bias"])


def resized_positions(stored: NDArray[np.float32]) -> NDArray[np.float32]:
    """Resizes positions [37², width] to [16², width], row by row, as the published program does.

    Cubic convolution with a = −0.75, pixel centres aligned, the border repeated, without antialiasing.

    Reference: Keys 1981, Cubic convolution interpolation for digital image processing, equation 15 with a for −1/2.
    """
    centres = (np.arange(PATCHES) + 0.5) / POSITION_FACTOR - 0.5
    matrix = np.zeros((PATCHES, STORED_PATCHES))
    for tap in range(-1, 3):
        places = np.floor(centres).astype(int) + tap
        distances = np.abs(centres - places)
        near = (_CUBIC + 2) * distances**3 - (_CUBIC + 3) * distances**2 + 1
        far = _CUBIC * (distances**3 - 5 * distances**2 + 8 * distances - 4)
        shares = np.where(distances <= 1, near, far)
        np.add.at(matrix, (np.arange(PATCHES), places.clip(0, STORED_PATCHES - 1)), shares)
    grid = stored.astype(np.float64).reshape(STORED_PATCHES, STORED_PATCHES, -1)
    resized: NDArray[np.float64] = np.einsum("ip,jq,pqw->ijw", matrix, matrix, grid, optimize=True)
    return resized.reshape(PATCHES**2, -1).astype(np.float32)
