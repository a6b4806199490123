"""The command generate, for every modality: its files, their marks as other programs read them, and its refusals."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import wave
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from generators import generator_metadata, untrained_generator
from modalities import EXAMPLES, Example
from PIL import Image

from components import generate
from components.cli.tensorflow_settings import configure_tensorflow
from gan_core.errors import InvalidInput
from gan_core.export import generator_digest, read_metadata
from gan_core.output_files import METADATA_FILE, MODEL_FILE

ROOT = Path(__file__).resolve().parents[2]
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
OURS = "{urn:gan-pipeline:generated:}"


@pytest.fixture(scope="module", params=EXAMPLES, ids=str)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param


@pytest.fixture(scope="module")
def model(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    configure_tensorflow()
    folder = tmp_path_factory.mktemp(example.modality)
    return untrained_generator(example.prepared(folder), folder / "generator", **example.train)


def run(model: Path | str, output: object, *options: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["generate", "--model", str(model), "--output", str(output), *map(str, options)])
        generate.main()


def properties(xmp: str | bytes) -> dict[str, str]:
    description = next(ElementTree.fromstring(xmp).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"))
    return dict(description.attrib)


def require_marked(xmp: str | bytes, model: Path, seeds: str) -> None:
    found = properties(xmp)
    assert found[f"{IPTC}DigitalSourceType"] == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    )
    assert found[f"{IPTC}AISystemVersionUsed"] == generator_digest(model)
    assert found[f"{OURS}seed"] == seeds


def riff_chunks(content: bytes) -> dict[bytes, bytes]:
    """Returns the chunks of a RIFF file, and checks that they fill it."""
    assert content[:4] == b"RIFF"
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    chunks, place = {}, 12
    while place < len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        chunks[content[place : place + 4]] = content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
    assert place == len(content)
    return chunks


def test_a_grid_is_the_same_again_and_carries_its_mark(model: Path, tmp_path: Path) -> None:
    for name in ("one.png", "two.png", "one.png"):  # an earlier grid is replaced
        run(model, tmp_path / name, "--count", 20, "--seed", 3, "--truncation", 0.7)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        require_marked(image.info["xmp"], model, "3")
        assert properties(image.info["xmp"])[f"{OURS}truncation"] == "0.7"
    run(model, tmp_path / "one.png", "--count", 20, "--seed", 3)
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_the_first_files_are_the_same_for_every_count(example: Example, model: Path, tmp_path: Path) -> None:
    label = read_metadata(model).classes[1]
    run(model, tmp_path / "few/", "--count", 3, "--label", label)
    run(model, tmp_path / "many.zip", "--count", 20, "--label", label)
    record = json.loads((tmp_path / "few/generated.json").read_text())
    assert (record["digest"], record["label"]) == (generator_digest(model), label)
    assert record["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    with zipfile.ZipFile(tmp_path / "many.zip") as archive:
        many = {name: archive.read(name) for name in archive.namelist()}
    assert set(record["files"]) == {
        str(path.relative_to(tmp_path / "few")) for path in (tmp_path / "few").rglob("*.*")
    } - {"generated.json"}
    for name in record["files"]:
        few = (tmp_path / "few" / name).read_bytes()
        if example.modality == "text":
            assert name == f"{label}.txt"
            assert few.decode().splitlines() == many[name].decode().splitlines()[:3]
        else:
            assert many[name] == few
        if example.modality == "audio":
            require_marked(riff_chunks(few)[b"_PMX"], model, "0")
            with wave.open(io.BytesIO(few)) as clip:
                assert (clip.getframerate(), clip.getnframes()) == (1000, 256)
        if example.modality == "image":
            with Image.open(io.BytesIO(few)) as image:
                require_marked(image.info["xmp"], model, "0")
    run(model, tmp_path / "few/", "--count", 1, "--label", label)  # replaces the earlier files
    assert len(list((tmp_path / "few" / label).glob("*"))) == (example.modality != "text")


def test_a_walk_returns_to_its_first_seed(model: Path, tmp_path: Path) -> None:
    label = read_metadata(model).classes[0]
    run(model, tmp_path / "walk.webp", "--seed", "4,9", "--count", 3, "--label", label)
    with Image.open(tmp_path / "walk.webp") as walk:
        require_marked(walk.info["xmp"], model, "4,9")
        assert 1 < walk.n_frames <= 6  # equal pictures become one
        assert walk.info["loop"] == 0


def test_texts_are_lines(example: Example, model: Path, tmp_path: Path) -> None:
    if example.modality != "text":
        with pytest.raises(InvalidInput, match=r"A \.txt file needs a generator of texts"):
            run(model, tmp_path / "t.txt")
        return
    run(model, tmp_path / "t.txt", "--count", 7)
    assert len((tmp_path / "t.txt").read_text().split("\n")) == 8
    with pytest.raises(InvalidInput, match="must be absent or an empty file; nothing else is replaced"):
        run(model, tmp_path / "t.txt")


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """A folder that looks like a generator of two classes until it is loaded."""
    return described_generator(tmp_path / "generator", classes=("cat", "dog"), class_shares=(0.5, 0.5))


def described_generator(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    (folder / METADATA_FILE).write_text(generator_metadata(**changes).model_dump_json())
    (folder / MODEL_FILE).write_bytes(b"weights")
    return folder


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("x.gif", [], r"--output must end in \.png, \.txt, \.webp, \.zip, or in / for a folder\. Received: .*x\.gif"),
        ("x.png", ["--label", "cow"], "--label must be one of cat, dog. Received: --label cow"),
        ("x.png", ["--seed", "1,2"], "any other output one. Received: 2 for"),
        ("x.webp", ["--seed", "1"], "A .webp walk needs two or more seeds"),
        ("x.webp", ["--seed", "1,2"], "A walk needs a class: set --label to one of cat, dog"),
        ("x.png", ["--seed", "-1"], "--seed must be a whole number from 0"),
        ("x.png", ["--count", "0"], "--count must be a whole number from 1"),
        ("x.png", ["--count", "1025"], "at most 1024 pictures. Received: 1025"),
        ("x.png", ["--truncation", "1.5"], "--truncation must be a number from 0 to 1"),
    ],
)
def test_a_mistake_gives_one_sentence(
    described: Path, tmp_path: Path, output: str, options: list[str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        run(described, tmp_path / output, *options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator"]


def test_a_paired_generator_is_refused(tmp_path: Path) -> None:
    paired = described_generator(tmp_path / "paired", paired=True)
    with pytest.raises(InvalidInput, match="must not be paired, because a paired one needs input images"):
        run(paired, tmp_path / "x.png")


def test_an_address_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"must be models:/NAME@champion\. Received: models:/cats/3"):
        run("models:/cats/3", tmp_path / "x.png")


def test_an_unknown_class_ends_with_code_2_before_tensorflow_is_imported(described: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from components.generate import main; from gan_core.exit_codes import run\n"
        "try: run(main)\n"
        "finally: print({'tensorflow', 'keras', 'mlflow'} & sys.modules.keys())"
    )
    options = ["--model", described, "--output", tmp_path / "x.png", "--label", "cow"]
    process = subprocess.run(
        [sys.executable, "-c", code, *options], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert (process.returncode, process.stdout) == (2, "set()\n")
    assert process.stderr == "error: --label must be one of cat, dog. Received: --label cow\n"
