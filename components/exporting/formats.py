"""The formats of an exported generator: how Keras writes each one, and how its own runtime runs it.

An exported function takes the inputs of the generator's network by name, and returns what the network returns.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput

Run = Callable[[dict[str, NDArray[Any]]], NDArray[np.float32]]
"""A written model: arrays by the names of the inputs → what the network returns."""


@dataclass(frozen=True)
class Format:
    """A format of an exported generator.

    Attributes:
        keras: Keras's name of the format.
        file: name of the model's file in the folder of the export; empty if the folder itself is the model.
        rows: number of latents that the exported function takes; None if it takes any number.
        runtime: the module that runs it.
        load: opens a written model with that module.
        writer: a module that Keras writes it with; empty if that is TensorFlow.
    """

    keras: str
    file: str
    rows: int | None
    runtime: str
    load: Callable[[str], Run]
    writer: str = ""

    def require_installed(self) -> None:
        """Checks that the packages which write and run the format are installed.

        Raises:
            InvalidInput: a package is missing.
        """
        needed = [name for name in (self.runtime, self.writer) if name]
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        if missing:
            raise InvalidInput(
                "The packages that write and check the format must be installed: requirements.txt has them. Received: "
                f"no module {', '.join(missing)}"
            )

    def write(self, model: Any, names: Sequence[str], folder: Path) -> Run:
        """Writes a Keras model into the existing `folder`, and opens it with the format's runtime.

        Args:
            model: a generator's Keras model.
            names: names of its inputs.
            folder: where it is written.

        Raises:
            InvalidInput: Keras cannot write the model in this format, or the runtime cannot open it.
            OSError: the disk is full.
        """
        place = str(folder / self.file)
        try:
            copy = _copy(model, names, self.rows)
            with warnings.catch_warnings(action="ignore"):  # tf2onnx uses names that NumPy will remove
                copy.export(place, format=self.keras, verbose=False, input_signature=_signature(copy))
            return self.load(place)
        # The converters raise nearly any exception for a layer that they do not know.
        except Exception as error:
            if (full := os.strerror(errno.ENOSPC)) in str(error):  # TensorFlow has its own exception for a full disk
                raise OSError(errno.ENOSPC, full) from None
            reason = " ".join(str(error).split())[:300]
            raise InvalidInput(
                f"The network must consist of operations that {self.runtime} has. Received: {reason}"
            ) from None


def _copy(model: Any, names: Sequence[str], rows: int | None) -> Any:
    """Returns a copy of a Keras model with a batch of `rows` and named inputs, whose output is `values`."""
    import keras

    def copied(layer: Any) -> Any:
        kind = _product() if isinstance(layer, keras.layers.EinsumDense) else type(layer)
        return kind.from_config(layer.get_config())

    inputs = [
        keras.Input(batch_shape=(rows, *one.shape[1:]), dtype=one.dtype, name=name)
        for name, one in zip(names, model.inputs, strict=True)
    ]
    structure = inputs if len(inputs) > 1 else inputs[0]
    copy = keras.models.clone_model(model, input_tensors=structure, clone_function=copied)
    copy.set_weights(model.get_weights())
    return keras.Model(inputs, {"values": copy.outputs[0]})


def _signature(model: Any) -> list[Any]:
    """Returns the types of the model's inputs. Keras's own choice would be a batch of any size."""
    import tensorflow as tf

    return [[tf.TensorSpec(one.shape, one.dtype, one.name) for one in model.inputs]]


def _product() -> Any:
    """Returns the class of a layer that multiplies vectors [B, C] by maps [H, W, C] → [B, H, W, C].

    In the r3gan network it is Keras's EinsumDense, whose operation the converter to tflite changes into a wrong one.
    """
    import keras
    import tensorflow as tf

    class Product(keras.layers.EinsumDense):  # type: ignore[misc]
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            if self.equation != "bc,hwc->bhwc":
                return super().call(inputs)
            return inputs[:, None, None] * tf.convert_to_tensor(self.kernel)

    return Product


def _load_saved_model(place: str) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(place)  # its variables live as long as this object
    return lambda inputs: loaded.signatures["serving_default"](**inputs)["values"].numpy()


def _load_tflite(place: str) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=place)
    interpreter.allocate_tensors()  # fails if the file has operations that need the whole of TensorFlow
    runner = interpreter.get_signature_runner("serving_default")
    return lambda inputs: runner(**inputs)["values"]


def _load_onnx(place: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(place, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["values"], inputs)[0]


FORMATS: Mapping[str, Format] = {
    "saved_model": Format("tf_saved_model", "", None, "tensorflow", _load_saved_model),
    "tflite": Format("litert", "generator.tflite", 1, "ai_edge_litert", _load_tflite),
    "onnx": Format("onnx", "generator.onnx", None, "onnxruntime", _load_onnx, "tf2onnx"),
}
"""The formats by the values of `--format`."""
