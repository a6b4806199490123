"""Reads the tensors of the original Inception network from its frozen TensorFlow graph, without running the graph."""

from __future__ import annotations

import io
import tarfile

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput

GRAPH_NAME = "classify_image_graph_def.pb"
LARGEST_GRAPH_BYTES = 2**28

STEM = {
    "conv": "Conv2d_1a_3x3",
    "conv_1": "Conv2d_2a_3x3",
    "conv_2": "Conv2d_2b_3x3",
    "conv_3": "Conv2d_3b_1x1",
    "conv_4": "Conv2d_4a_3x3",
}
BLOCK_A = {
    "conv": "branch1x1",
    "tower/conv": "branch5x5_1",
    "tower/conv_1": "branch5x5_2",
    "tower_1/conv": "branch3x3dbl_1",
    "tower_1/conv_1": "branch3x3dbl_2",
    "tower_1/conv_2": "branch3x3dbl_3",
    "tower_2/conv": "branch_pool",
}
BLOCK_B = {
    "conv": "branch3x3",
    "tower/conv": "branch3x3dbl_1",
    "tower/conv_1": "branch3x3dbl_2",
    "tower/conv_2": "branch3x3dbl_3",
}
BLOCK_C = {
    "conv": "branch1x1",
    "tower/conv": "branch7x7_1",
    "tower/conv_1": "branch7x7_2",
    "tower/conv_2": "branch7x7_3",
    "tower_1/conv": "branch7x7dbl_1",
    "tower_1/conv_1": "branch7x7dbl_2",
    "tower_1/conv_2": "branch7x7dbl_3",
    "tower_1/conv_3": "branch7x7dbl_4",
    "tower_1/conv_4": "branch7x7dbl_5",
    "tower_2/conv": "branch_pool",
}
BLOCK_D = {
    "tower/conv": "branch3x3_1",
    "tower/conv_1": "branch3x3_2",
    "tower_1/conv": "branch7x7x3_1",
    "tower_1/conv_1": "branch7x7x3_2",
    "tower_1/conv_2": "branch7x7x3_3",
    "tower_1/conv_3": "branch7x7x3_4",
}
BLOCK_E = {
    "conv": "branch1x1",
    "tower/conv": "branch3x3_1",
    "tower/mixed/conv": "branch3x3_2a",
    "tower/mixed/conv_1": "branch3x3_2b",
    "tower_1/conv": "branch3x3dbl_1",
    "tower_1/conv_1": "branch3x3dbl_2",
    "tower_1/mixed/conv": "branch3x3dbl_3a",
    "tower_1/mixed/conv_1": "branch3x3dbl_3b",
    "tower_2/conv": "branch_pool",
}
BLOCKS = {
    "mixed": ("Mixed_5b", BLOCK_A),
    "mixed_1": ("Mixed_5c", BLOCK_A),
    "mixed_2": ("Mixed_5d", BLOCK_A),
    "mixed_3": ("Mixed_6a", BLOCK_B),
    "mixed_4": ("Mixed_6b", BLOCK_C),
    "mixed_5": ("Mixed_6c", BLOCK_C),
    "mixed_6": ("Mixed_6d", BLOCK_C),
    "mixed_7": ("Mixed_6e", BLOCK_C),
    "mixed_8": ("Mixed_7a", BLOCK_D),
    "mixed_9": ("Mixed_7b", BLOCK_E),
    "mixed_10": ("Mixed_7c", BLOCK_E),
}
LAYERS = STEM | {
    f"{scope}/{inner}": f"{block}.{branch}"
    for scope, (block, branches) in BLOCKS.items()
    for inner, branch in branches.items()
}
"""Layer names, by scope in the graph."""

PARTS = {
    "conv2d_params": "conv.weight",
    "batchnorm/gamma": "bn.weight",
    "batchnorm/beta": "bn.bias",
    "batchnorm/moving_mean": "bn.running_mean",
    "batchnorm/moving_variance": "bn.running_var",
}
NAMES = {f"{scope}/{part}": f"{layer}.{name}" for scope, layer in LAYERS.items() for part, name in PARTS.items()} | {
    "softmax/weights": "fc.weight",
    "softmax/biases": "fc.bias",
}


def read_graph_file(content: bytes, name: str) -> dict[str, NDArray[np.float32]]:
    """Returns the network's tensors with the names and axis order of pytorch-fid's file.

    Args:
        content: content of the graph, or of the archive that it was published in.
        name: name of the file, for messages.

    Raises:
        InvalidInput: the file does not hold that graph.
    """
    import tensorflow as tf

    try:
        graph = tf.compat.v1.GraphDef.FromString(content if name.endswith(".pb") else _unpack(content))
        return {
            NAMES[node.name]: _axes_of_torch(tf.make_ndarray(node.attr["value"].tensor))
            for node in graph.node
            if node.op == "Const" and node.name in NAMES
        }
    # A hostile file can make the parsers raise nearly anything; whatever it is, the file is refused.
    except Exception as error:
        raise InvalidInput(
            f"A weight file of TensorFlow must be the frozen graph {GRAPH_NAME}, or the archive with it: {error}. "
            f"Received: {name}"
        ) from None


def _unpack(content: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            if member.isfile() and member.name.rsplit("/", 1)[-1] == GRAPH_NAME:
                if member.size > LARGEST_GRAPH_BYTES:
                    raise ValueError(f"{GRAPH_NAME} in it has {member.size} bytes")
                stream = archive.extractfile(member)
                return stream.read() if stream else b""
    raise ValueError(f"no {GRAPH_NAME} in it")


def _axes_of_torch(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """[height, width, in, out] → [out, in, height, width]; [in, out] → [out, in]."""
    return tensor.transpose((3, 2, 0, 1) if tensor.ndim == 4 else tuple(reversed(range(tensor.ndim))))
