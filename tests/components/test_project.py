"""The command project: it finds generated images again, writes marked files, and refuses hostile input."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from generators import generator_metadata, untrained_generator
from modalities import EXAMPLES, Example
from PIL import Image
from test_generate import described_generator, properties, require_marked, riff_chunks
from test_generate import run as generate

from components import project
from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.codecs import codec_of
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.export import load_generator, read_metadata, save_generator
from gan_core.generator import Generator
from gan_core.sampling import draw_latents

ROOT = Path(__file__).resolve().parents[2]
LARGEST_ROUNDING = (1 / 255) ** 2
"""The mean squared difference, in levels from −1 to 1, if rounding moved every pixel by half a level."""
SIZE = 8
LENGTHS = (0.842, 5.280)  # contain 99.9% of χ with 8 degrees of freedom


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of two classes with random weights, whose images differ much."""
    configure_tensorflow()
    keras.utils.set_random_seed(0)
    latents, labels = keras.Input((SIZE,)), keras.Input((), dtype="int32")
    given = keras.layers.Concatenate()([latents, keras.layers.Embedding(2, SIZE, "random_normal")(labels)])
    images = keras.layers.Dense(256, "tanh")(keras.layers.Dense(32, "tanh")(given))
    network = keras.Model([latents, labels], keras.layers.Reshape((16, 16, 1))(images))
    folder = tmp_path_factory.mktemp("model") / "generator"
    save_generator(
        folder, network, generator_metadata(latent_size=SIZE, classes=("cat", "dog"), class_shares=(0.5, 0.5))
    )
    return folder


@pytest.fixture(scope="module")
def generator(model: Path) -> Generator:
    return load_generator(model)


def run(model: Path, file: Path, output: Path, *options: object) -> dict[str, Any]:
    """Runs the command; returns the content of latent.json."""
    command = ["project", str(file), "--model", str(model), "--output", str(output), *map(str, options)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", command)
        project.main()
    return json.loads((output / "latent.json").read_text())


def test_a_generated_image_is_found_again(generator: Generator, model: Path, tmp_path: Path) -> None:
    label = np.array([1], np.int32)
    image = generator.draw(draw_latents(1, SIZE, seed=100), label)[0]
    Image.fromarray(image[:, :, 0]).save(tmp_path / "image.png")
    outputs = [tmp_path / "one", tmp_path / "two"]
    for output in outputs:
        found = run(model, tmp_path / "image.png", output, "--steps", 200, "--starts", 2, "--seed", 1)

    assert found["label"] == "dog"
    assert found["class_differences"]["dog"] < found["class_differences"]["cat"]
    samples = generator.draw(draw_latents(1000, SIZE, seed=7), label.repeat(1000))
    nearest = (((samples - image.astype(float)) / 127.5) ** 2).mean((1, 2, 3)).min()
    assert found["pixel_differences"][-1] < LARGEST_ROUNDING < nearest / 10
    assert found["feature_differences"][-1] < found["feature_differences"][0] / 100

    names = {"found.png", "latent.json", "projection.png"}
    for output in outputs:
        assert {path.name for path in output.iterdir()} == names
    assert all((outputs[0] / name).read_bytes() == (outputs[1] / name).read_bytes() for name in names)
    drawn = generator.draw(np.array([found["latent"]], np.float32), label)[0]
    with Image.open(tmp_path / "one/found.png") as written, Image.open(tmp_path / "one/projection.png") as picture:
        np.testing.assert_array_equal(np.asarray(written)[..., None], drawn)
        require_marked(written.info["xmp"], model, "projection from 1")
        kind = properties(picture.info["xmp"])["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"]
        assert kind.endswith("/compositeWithTrainedAlgorithmicMedia")
        assert picture.size[0] > 8 * 80

    points = f"{tmp_path}/one/latent.json,3"
    generate(model, tmp_path / "walk.webp", "--seed", points, "--label", "dog", "--count", 2, "--truncation", 0.5)
    with Image.open(tmp_path / "walk.webp") as walk:  # it begins at the found image, enlarged by 5
        np.testing.assert_allclose(np.asarray(walk.convert("L"))[::5, ::5, None], drawn, atol=1)
        require_marked(walk.info["xmp"], model, "projection from 1,3")
    with pytest.raises(InvalidInput, match="--seed must be a number, because only a walk goes through a found latent"):
        generate(model, tmp_path / "grid.png", "--seed", tmp_path / "one/latent.json")


def test_a_latent_stays_as_long_as_random_ones(model: Path, tmp_path: Path) -> None:
    """The nearest image to noise would have a very long latent."""
    noise = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (16, 16))
    Image.fromarray(noise).save(tmp_path / "noise.png")
    found = run(model, tmp_path / "noise.png", tmp_path / "out", "--steps", 100, "--starts", 1, "--label", "cat")
    assert LENGTHS[1] - 0.01 < np.linalg.norm(found["latent"]) < LENGTHS[1]
    assert found["pixel_differences"][-1] < found["pixel_differences"][0]


@pytest.mark.parametrize("example", EXAMPLES[:2], ids=str)
def test_the_input_is_decoded_as_prepare_does(example: Example, tmp_path: Path) -> None:
    prepared = PreparedDataset(example.prepared(tmp_path, last=20))
    section = json.dumps(example.parameters()["prepare"])
    known = np.concatenate([batch for split in ("train", "held_out") for batch in prepared.split(split).batches(8)])
    for file in sorted((tmp_path / "raw").glob("*/*")):
        array = project._decoded(file, section, codec_of(prepared.manifest))
        assert (known == array).all((1, 2, 3)).any(), file


def test_an_image_of_another_size_gets_the_generators_shape(model: Path, tmp_path: Path) -> None:
    """The parameters of the project are those of 28 × 28 grey pixels, the generator has 16 × 16."""
    Image.new("RGB", (70, 40), (255, 0, 0)).save(tmp_path / "photo.jpg")
    array = project._decoded(tmp_path / "photo.jpg", str(ROOT / "params.yaml"), codec_of(read_metadata(model)))
    assert array.shape == (16, 16, 1)
    assert set(np.unique(array)) <= {75, 76, 77}  # the luma of red, after JPEG


def test_a_clip_is_found_as_sound(tmp_path: Path) -> None:
    example = EXAMPLES[1]
    model = untrained_generator(example.prepared(tmp_path, last=20), tmp_path / "generator", **example.train)
    clip = sorted((tmp_path / "raw/low").iterdir())[0]
    options = ("--config", json.dumps(example.parameters()["prepare"]), "--steps", 3, "--starts", 1)
    found = run(model, clip, tmp_path / "out", *options)
    assert len(found["latent"]) == 8
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"found.wav", "latent.json", "projection.png"}
    require_marked(riff_chunks((tmp_path / "out/found.wav").read_bytes())[b"_PMX"], model, "projection from 0")


def huge_png() -> bytes:
    """The header of an image of 10¹⁰ pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 10**5, 10**5, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + bytes(4) + b"IDAT" + bytes(4)
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (huge_png(), "100000 × 100000 pixels, more than max_image_megapixels allows"),
        (b"text", "not a PNG, JPEG or WebP image"),
        (None, "Not a regular file"),
    ],
    ids=["huge", "text", "pipe"],
)
def test_a_hostile_file_is_refused(content: bytes | None, reason: str, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    os.mkfifo(file) if content is None else file.write_bytes(content)
    with pytest.raises(
        InvalidInput, match=f"The input must be a file that prepare accepts: {reason}. Received: {file}"
    ):
        run(model, file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"paired": True}, [], "from latents alone. Received: --model .*, a paired generator"),
        ({}, ["--label", "cow"], "--label must be absent, because the generator has no classes"),
        ({"classes": ("cat", "dog"), "class_shares": (0.5, 0.5)}, ["--starts", 257], "Received: 257 for each of 2"),
        ({}, ["--steps", "0"], "--steps must be a whole number from 1"),
        ({}, ["--config", "{}"], "The parameter 'prepare.source' is missing"),
    ],
)
def test_a_mistake_gives_one_sentence(
    changes: dict[str, Any], options: list[object], message: str, tmp_path: Path
) -> None:
    model = described_generator(tmp_path / "generator", **changes)
    Image.new("L", (16, 16)).save(tmp_path / "image.png")
    with pytest.raises(InvalidInput, match=message):
        run(model, tmp_path / "image.png", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_generator_of_texts_is_refused(tmp_path: Path) -> None:
    model = untrained_generator(EXAMPLES[2].prepared(tmp_path), tmp_path / "generator", **EXAMPLES[2].train)
    with pytest.raises(InvalidInput, match="a generator of texts"):
        run(model, tmp_path / "raw/open.txt", tmp_path / "out")


def test_a_missing_file_ends_with_code_2_before_tensorflow_is_imported(tmp_path: Path) -> None:
    model = described_generator(tmp_path / "generator")
    code = (
        "import sys; from components.project import main; from gan_core.exit_codes import run\n"
        "try: run(main)\n"
        "finally: print({'tensorflow', 'keras', 'mlflow'} & sys.modules.keys())"
    )
    options = [tmp_path / "absent.png", "--model", model, "--output", tmp_path / "out"]
    process = subprocess.run(
        [sys.executable, "-c", code, *options], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert (process.returncode, process.stdout) == (2, "set()\n")
    assert process.stderr == (
        "error: The input must be a file that prepare accepts: No such file or directory. Received: "
        f"{tmp_path}/absent.png\n"
    )
