"""The sources of published weights. Wrong, damaged and hostile weight files are refused."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import io
import itertools
import os
import pickle
import struct
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gan_core.errors import InvalidInput, TryAgain
from gan_core.evaluation.extractors import weights as weights_module
from gan_core.evaluation.extractors.torch_file import LEGACY_MAGIC_NUMBER, read_torch_file
from gan_core.evaluation.extractors.weights import DINOV2, INCEPTION, VGGISH, PublishedFile, Weights, load_weights

TENSOR = np.arange(6, dtype=np.float32).reshape(2, 3)


class Global:
    """Is pickled as a reference to a name of a module, as in PyTorch's files."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class Writer(pickle._Pickler):
    """Pickles `Global`s and storages in PyTorch's protocol, without PyTorch."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=2)

    def persistent_id(self, thing: object) -> object:
        return thing[1] if isinstance(thing, tuple) and len(thing) == 2 and thing[0] == "persistent" else None

    def save(self, thing: object, save_persistent_id: bool = True) -> None:
        if not isinstance(thing, Global):
            super().save(thing, save_persistent_id)
            return
        self.write(b"c" + thing.module.encode() + b"\n" + thing.name.encode() + b"\n")
        if thing.arguments:
            super().save(thing.arguments)
            self.write(b"R")


def dumps(thing: object) -> bytes:
    stream = io.BytesIO()
    Writer(stream).dump(thing)
    return stream.getvalue()


def tensor_entry(
    key: str = "0",
    count: int = 6,
    offset: int = 0,
    shape: tuple[int, ...] = (2, 3),
    strides: tuple[int, ...] = (3, 1),
    storage: str = "FloatStorage",
) -> Global:
    reference = ("persistent", ("storage", Global("torch", storage), key, "cpu", count))
    return Global(
        "torch._utils",
        "_rebuild_tensor_v2",
        reference,
        offset,
        shape,
        strides,
        False,
        Global("collections", "OrderedDict", ()),
    )


def archive(index: bytes, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        file.writestr("weights/data.pkl", index)
        for key, content in storages.items():
            file.writestr(f"weights/data/{key}", content)
    return stream.getvalue()


def legacy(index: bytes, storages: dict[str, bytes]) -> bytes:
    head = dumps(LEGACY_MAGIC_NUMBER) + dumps(1001) + dumps({"little_endian": True})
    body = b"".join(struct.pack("<q", len(content) // 4) + content for content in storages.values())
    return head + index + dumps(list(storages)) + body


@pytest.mark.parametrize("container", [archive, legacy])
def test_written_tensors_are_read_unchanged(container: object) -> None:
    index = dumps(
        {
            "a": tensor_entry(),
            "b": tensor_entry(key="1", count=6, offset=2, shape=(4,), strides=(1,)),
            "c": Global("torch._utils", "_rebuild_parameter", tensor_entry(), True, None),
            "d.num_batches_tracked": tensor_entry(key="2", count=1, shape=(), strides=(), storage="LongStorage"),
        }
    )
    storages = {"0": TENSOR.tobytes(), "1": (TENSOR + 10).tobytes()}
    tensors = read_torch_file(container(index, storages), "weights.pth")
    assert tensors.keys() == {"a", "b", "c"}
    np.testing.assert_array_equal(tensors["a"], TENSOR)
    np.testing.assert_array_equal(tensors["c"], TENSOR)
    np.testing.assert_array_equal(tensors["b"], np.arange(12, 16))


@pytest.mark.parametrize("container", [archive, legacy])
@pytest.mark.parametrize("shape", [(3, 2), (2, 1, 3), (1, 6), (1, 1, 2, 3)])
def test_a_tensor_that_was_saved_transposed_is_read_as_it_was(container: object, shape: tuple[int, ...]) -> None:
    """PyTorch saves a transposed tensor with its strides, of which those of axes of length 1 may be any number."""
    for axes in itertools.permutations(range(len(shape))):
        tensor = TENSOR.reshape(shape).transpose(axes)
        strides = tuple(
            stride // TENSOR.itemsize if length > 1 else 7
            for stride, length in zip(tensor.strides, tensor.shape, strict=True)
        )
        index = dumps({"a": tensor_entry(shape=tensor.shape, strides=strides)})
        read = read_torch_file(container(index, {"0": TENSOR.tobytes()}), "weights.pth")
        np.testing.assert_array_equal(read["a"], tensor)


@pytest.mark.parametrize("container", [archive, legacy])
@pytest.mark.parametrize(
    ("module", "name", "argument"),
    [
        ("os", "system", "touch {}"),
        ("posix", "system", "touch {}"),
        ("builtins", "exec", "open({!r}, 'w')"),
        ("builtins", "getattr", "{}"),
        ("torch", "load", "{}"),
        ("collections", "namedtuple", "{}"),
        ("torch.serialization", "os.system", "touch {}"),
    ],
)
def test_code_in_a_pickle_is_refused_and_never_runs(
    tmp_path: Path, container: object, module: str, name: str, argument: str
) -> None:
    trace = tmp_path / "executed"
    index = dumps({"a": Global(module, name, argument.format(str(trace)))})
    with pytest.raises(InvalidInput, match=rf"refers to {module}\.{name}.*Received: evil\.pth"):
        read_torch_file(container(index, {"0": TENSOR.tobytes()}), "evil.pth")
    assert not trace.exists()


def test_the_same_code_runs_in_the_ordinary_unpickler(tmp_path: Path) -> None:
    """If this failed, the test above would prove nothing."""
    trace = tmp_path / "executed"
    pickle.loads(dumps({"a": Global("os", "system", f"touch {trace}")}))
    assert trace.exists()


@pytest.mark.parametrize(
    "entry",
    [
        tensor_entry(shape=(2, 2**40), strides=(2**40, 1)),
        tensor_entry(offset=1),
        tensor_entry(offset=-1),
        tensor_entry(shape=(-2, -3), strides=(-3, 1)),
        tensor_entry(shape=(-1, 6), strides=(6, 1)),
        tensor_entry(strides=(1, 1)),
        tensor_entry(strides=(1, 3)),
        tensor_entry(strides=(6, 1)),
        tensor_entry(strides=(3, 0)),
        tensor_entry(strides=(-3, -1)),
        tensor_entry(strides=(1,)),
        tensor_entry(count=2**50, shape=(2**50,), strides=(1,)),
        tensor_entry(key="missing"),
        tensor_entry(key="../../data.pkl"),
        tensor_entry(storage="LongStorage"),
        tensor_entry(storage="DoubleStorage"),
        "text",
        {"nested": tensor_entry()},
    ],
)
@pytest.mark.parametrize("container", [archive, legacy])
def test_only_complete_float32_tensors_are_read(container: object, entry: object) -> None:
    with pytest.raises(InvalidInput, match=r"named float32 tensors.*Received: w\.pth"):
        read_torch_file(container(dumps({"a": entry}), {"0": TENSOR.tobytes()}), "w.pth")


@pytest.mark.parametrize("container", [archive, legacy])
def test_every_truncation_is_refused(container: object) -> None:
    whole = container(dumps({"a": tensor_entry()}), {"0": TENSOR.tobytes()})
    for length in range(len(whole)):
        with pytest.raises(InvalidInput, match=r"Received: w\.pth"):
            read_torch_file(whole[:length], "w.pth")


def test_a_decompression_bomb_is_refused() -> None:
    bomb = archive(dumps({"a": tensor_entry()}), {"0": bytes(2**24)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**16
    with pytest.raises(InvalidInput, match="compressed"):
        read_torch_file(bomb, "w.pth")


def test_an_entry_with_an_absurd_size_is_refused() -> None:
    content = bytearray(archive(dumps({"a": tensor_entry()}), {"0": TENSOR.tobytes()}))
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 20 : directory + 28] = struct.pack("<II", 2**31, 2**31)
    with pytest.raises(InvalidInput, match=r"Received: w\.pth"):
        read_torch_file(bytes(content), "w.pth")


@pytest.mark.parametrize("content", [b"", b"\x80", b"not weights", pickle.dumps([1, 2]), pickle.dumps({"a": 1})])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"Received: w\.pth"):
        read_torch_file(content, "w.pth")


@pytest.mark.parametrize(
    ("published", "file"),
    [
        (INCEPTION, "classify_image_graph_def.pb"),
        (INCEPTION, "inception-2015-12-05.tgz"),
        (INCEPTION, "graph.tar.gz"),
        (VGGISH, "vggish_model.ckpt"),
    ],
)
@pytest.mark.parametrize("folder", ["/no/such/folder", "https://example.invalid"])
def test_the_error_for_the_original_file_names_the_file_to_use(
    tmp_path: Path, folder: str, published: PublishedFile, file: str
) -> None:
    source = f"{folder}/{file}#sha256={'0' * 64}"
    with pytest.raises(InvalidInput, match=f"TensorFlow file is not read.*{published.address}.*Received: .*{file}"):
        load_weights(published, source, tmp_path)


@pytest.fixture
def weight_file(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "weights.pth"
    path.write_bytes(archive(dumps(collections.OrderedDict(a=tensor_entry())), {"0": TENSOR.tobytes()}))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_read_only_if_its_digest_is_correct(weight_file: tuple[Path, str]) -> None:
    path, sha256 = weight_file
    weights = load_weights(INCEPTION, f"{path}#sha256={sha256}", path.parent)
    assert weights.digest == f"sha256-{sha256}"
    np.testing.assert_array_equal(weights.tensors["a"], TENSOR)
    with pytest.raises(InvalidInput, match=f"must be {INCEPTION.sha256}.*Received: .* with SHA-256 {sha256}"):
        load_weights(INCEPTION, str(path), path.parent)
    with pytest.raises(InvalidInput, match="must be 0000"):
        load_weights(INCEPTION, f"{path}#sha256={'0' * 64}", path.parent)
    assert weights.name("inception", INCEPTION) == "inception_unverified"
    assert Weights(f"sha256-{INCEPTION.sha256}", {}).name("inception", INCEPTION) == "inception"
    with pytest.raises(InvalidInput, match="64 lower-case"):
        load_weights(INCEPTION, f"{path}#sha256=", path.parent)


@pytest.mark.parametrize("source", ["/dev/zero", "pipe", "a\0b"])
def test_only_regular_files_are_read(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device gives endless bytes, and reading a pipe without a writer never ends."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(InvalidInput, match="must be a readable file"):
        load_weights(INCEPTION, source, tmp_path)


@pytest.mark.parametrize("published", [INCEPTION, DINOV2, VGGISH], ids=lambda published: published.network)
def test_the_message_says_how_to_provide_the_file(tmp_path: Path, published: PublishedFile) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_weights(published, str(tmp_path / "missing.pth"), tmp_path)
    for part in (published.address, published.sha256, published.parameter, "missing.pth", "No such file"):
        assert part in str(caught.value)


def test_an_address_is_https_and_a_failed_download_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="must begin with https"):
        load_weights(INCEPTION, "http://example.invalid/w.pth", cache=tmp_path)
    with pytest.raises(TryAgain, match=r"could not be downloaded.*SHA-256.*Received: https://example\.invalid/w\.pth"):
        load_weights(INCEPTION, "https://example.invalid/w.pth", cache=tmp_path)


@contextlib.contextmanager
def fake_download(monkeypatch: pytest.MonkeyPatch, content: bytes) -> Iterator[list[str]]:
    """Replaces the opener, which tests/gan_core/test_url_guard.py tests with a real https server."""
    requested = []

    def answer(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        requested.append(request.full_url)
        return io.BytesIO(content)

    with monkeypatch.context() as patch:
        patch.setattr(weights_module, "open_public", answer)
        yield requested


def test_a_download_is_verified_and_cached(
    weight_file: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha256 = weight_file
    cache, source = tmp_path / "cache", f"https://example.invalid/w.pth#sha256={sha256}"
    with fake_download(monkeypatch, path.read_bytes()[:-1]), pytest.raises(TryAgain, match="not the expected file"):
        load_weights(INCEPTION, source, cache)
    assert not cache.exists()
    with fake_download(monkeypatch, path.read_bytes()) as requested:
        first = load_weights(INCEPTION, source, cache)
        second = load_weights(INCEPTION, source, cache)
    assert requested == ["https://example.invalid/w.pth"]
    assert [file.name for file in cache.iterdir()] == [f"{sha256}-w.pth"]
    assert first.digest == second.digest
    next(cache.iterdir()).write_bytes(b"damaged")
    with pytest.raises(InvalidInput, match="SHA-256 must be"):
        load_weights(INCEPTION, source, cache)
    with fake_download(monkeypatch, path.read_bytes()) as requested:
        assert load_weights(INCEPTION, source, cache).digest == first.digest
    assert requested == ["https://example.invalid/w.pth"]
