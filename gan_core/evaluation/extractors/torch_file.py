"""Reads the tensors of a PyTorch weight file without PyTorch and without executing anything from the file.

Such a file holds the tensors' raw numbers and a pickle that names the tensors. Since PyTorch 1.6 both are in a zip
archive; in earlier files the numbers follow the pickle. The unpickler accepts only the five names that such a file
needs, replaces each by a harmless object, and refuses all others.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput

LEGACY_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class _Tensor:
    """Location of a tensor's numbers: from `offset` in the storage `key`, which has `count` numbers.

    They are in C order of a tensor with the axes `order` of this one: a transposed tensor is stored untransposed.
    """

    dtype: np.dtype[Any]
    key: str
    count: int
    offset: int
    shape: tuple[int, ...]
    order: tuple[int, ...]


def read_torch_file(content: bytes, name: str) -> dict[str, NDArray[np.float32]]:
    """Returns the floating-point tensors by name, without counters (`num_batches_tracked`).

    Args:
        content: content of the file.
        name: name of the file, for messages.

    Raises:
        InvalidInput: it is not such a file, is damaged, or refers to anything but tensors.
    """
    try:
        is_archive = zipfile.is_zipfile(io.BytesIO(content))
        index, storages = _open_archive(content) if is_archive else _open_legacy(content)
        if not isinstance(index, Mapping):
            raise pickle.UnpicklingError("it holds no dictionary of tensors")
        return {key: _read(entry, storages) for key, entry in index.items() if not key.endswith("num_batches_tracked")}
    except InvalidInput:
        raise
    # A hostile pickle can make the unpickler raise nearly anything; whatever it is, the file is refused.
    except Exception as error:
        raise InvalidInput(
            f"A weight file of PyTorch must hold named float32 tensors and nothing else: {error}. Received: {name}"
        ) from None


def _open_archive(content: bytes) -> tuple[Any, Callable[[_Tensor], bytes]]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    # Uncompressed entries cannot be larger than the file, so the archive cannot be a zip bomb.
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise zipfile.BadZipFile("its entries are compressed, which PyTorch never does")
    (index,) = (entry for entry in archive.namelist() if entry.endswith("/data.pkl"))
    return _Index(io.BytesIO(archive.read(index))).load(), lambda tensor: archive.read(
        f"{index.removesuffix('data.pkl')}data/{tensor.key}"
    )


def _open_legacy(content: bytes) -> tuple[Any, Callable[[_Tensor], bytes]]:
    stream = io.BytesIO(content)
    if _Index(stream).load() != LEGACY_MAGIC_NUMBER:
        raise pickle.UnpicklingError("it does not begin like a PyTorch file")
    _version, _system = _Index(stream).load(), _Index(stream).load()
    reader = _Index(stream)
    index, keys = reader.load(), _Index(stream).load()
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = stream.read(count * reader.dtypes[key].itemsize)
    return index, lambda tensor: storages[tensor.key]


class _Index(pickle.Unpickler):
    """An unpickler that can only create numbers, strings, containers and `_Tensor` objects."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            **{("torch", storage): dtype for storage, dtype in DTYPES.items()},
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return known[module, name]

    def persistent_load(self, identifier: Any) -> _Tensor:
        kind, dtype, key, _location, count = identifier[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise pickle.UnpicklingError("it refers to something that is not a storage")
        self.dtypes[key] = dtype
        return _Tensor(dtype, key, count, 0, (count,), (0,))


def _rebuild_tensor(
    storage: _Tensor, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    # The stride of an axis of length 1 has no meaning, so such axes come first.
    order = sorted(range(len(shape)), key=lambda axis: (shape[axis] != 1, -strides[axis]))
    dense = all(
        shape[axis] == 1 or strides[axis] == math.prod(shape[later] for later in order[place + 1 :])
        for place, axis in enumerate(order)
    )
    if len(strides) != len(shape) or not dense or min((0, *shape)) < 0:
        raise pickle.UnpicklingError(f"a tensor of shape {shape} with strides {strides} is not dense")
    return _Tensor(storage.dtype, storage.key, storage.count, offset, shape, tuple(order))


def _read(tensor: object, storages: Callable[[_Tensor], bytes]) -> NDArray[np.float32]:
    if not isinstance(tensor, _Tensor) or tensor.dtype != np.dtype("<f4"):
        raise pickle.UnpicklingError("it names something that is not a float32 tensor")
    numbers = storages(tensor)
    if len(numbers) != tensor.count * tensor.dtype.itemsize:
        raise pickle.UnpicklingError(f"the storage {tensor.key} has {len(numbers)} bytes for {tensor.count} numbers")
    flat = np.frombuffer(numbers, tensor.dtype, math.prod(tensor.shape), tensor.offset * tensor.dtype.itemsize)
    return flat.reshape([tensor.shape[axis] for axis in tensor.order]).transpose(np.argsort(tensor.order).tolist())
