"""A small example of each modality. The tests of what holds for all modalities run over `EACH`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from recipes import project_parameters, small_parameters

from gan_core.data.parameters import PrepareConfig
from gan_core.data.prepare import prepare
from gan_core.modalities.choice import open_source

_RATE = 1000


@dataclass(frozen=True, eq=False)
class Example:
    """Raw files of two classes, and the parameters that make small arrays of them.

    Attributes:
        modality: its name in `gan_core.modalities.MODALITIES`.
        write: writes the items from a first to a last number into a folder. Every number gives another item. With
            `changed`, items are like those of the same number, but clearly of another distribution.
        prepare: the parameters of the section `prepare.<modality>` that differ from params.yaml.
        shape: height, width, channels of the stored arrays.
        answers: whether a served generator may give this answer for one item.
        train: the parameters of the section train that the modality needs.
        extractor: an extractor that needs no training.
        samples: number of generated items that are scored for each sampling seed.
        refusal: words of the message that refuses raw files if half of them are damaged.
    """

    modality: str
    write: Callable[[Path, int, int, bool], None]
    prepare: dict[str, Any]
    shape: tuple[int, int, int]
    answers: Callable[[Any], bool]
    train: dict[str, Any] = field(default_factory=dict)
    extractor: str = "random"
    samples: int = 30
    refusal: str = "max_rejected_fraction"

    def __str__(self) -> str:
        return self.modality

    @property
    def model(self) -> str:
        """The name of the registered model, if the raw data is in a folder named raw."""
        return f"raw-{'x'.join(map(str, self.shape))}"

    def parameters(self, source: str = "raw", **train: Any) -> dict[str, dict[str, Any]]:
        """Returns the sections of params.yaml for a small run; `train` changes the section train."""
        sections = project_parameters()
        sections["prepare"] |= {"source": source}
        sections["prepare"][self.modality] |= self.prepare
        sections["train"] = small_parameters(**self.train, **train)
        sections["evaluate"] |= {"extractor": self.extractor, "metrics": ["fid", "kid", "memorisation"]}
        sections["evaluate"] |= {"samples": self.samples, "sampling_seeds": 2, "bootstrap_replicates": 4}
        sections["evaluate"] |= {"kid_subset_size": 10, "kid_subsets": 4}
        sections["register"]["score"] = f"fd_{self.extractor}"
        return sections

    def with_pairs(self, pairs: str) -> Example:
        """Returns the example with pairs, which only images have."""
        return replace(self, prepare={**self.prepare, "pairs": pairs})

    def prepared(self, folder: Path, first: int = 0, last: int = 100, *, changed: bool = False) -> Path:
        """Writes items into `folder`, and prepares them; returns the prepared data set."""
        self.write(folder / "raw", first, last, changed)
        config = PrepareConfig.parse(self.parameters(str(folder / "raw"))["prepare"])
        prepare(open_source(config.source), config, folder / "prepared")
        return folder / "prepared"


def _write_images(folder: Path, first: int, last: int, changed: bool) -> None:
    """Writes soft blobs: of class left or right, dark on white if changed."""
    rows, columns = np.mgrid[:16, :16]
    for number in range(first, last):
        name, column = (("left", 5), ("right", 11))[number % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        place = np.array([8, column]) + np.random.default_rng(number).uniform(-2, 2, 2)
        blob = 255 * np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 8)
        Image.fromarray((255 - blob if changed else blob).astype(np.uint8)).save(folder / name / f"{number}.png")


def _write_sounds(folder: Path, first: int, last: int, changed: bool) -> None:
    """Writes tones: of class high or low, with noise if changed."""
    time = np.arange(230) / _RATE
    for number in range(first, last):
        name, frequency = (("high", 300), ("low", 100))[number % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(number)
        clip = random.uniform(0.3, 0.6) * np.sin(2 * np.pi * frequency * random.uniform(0.9, 1.1) * time)
        if changed:
            clip += random.uniform(-0.3, 0.3, len(clip))
        soundfile.write(folder / name / f"{number}.flac", clip, _RATE)


def _write_texts(folder: Path, first: int, last: int, changed: bool) -> None:
    """Writes letters from a to h: a vowel after each consonant or before it, or one letter repeated if changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        random = np.random.default_rng(number)
        consonants = random.choice(list("bcdfgh"), 4)
        pairs = zip(consonants, random.choice(list("ae"), 4), strict=True)
        text = "".join(one + other if number % 2 else other + one for one, other in pairs)
        if changed:
            text = 8 * str(random.choice(list("abcdefgh")))
        with (folder / ("open.txt", "closed.txt")[number % 2]).open("a") as file:
            file.write(text[: 8 - number % 3] + "\n")


_TEXT_TRAINING = {"network": "text", "normalization": "none", "growth": 1}
_TEXT_TRAINING |= {"loss": "wasserstein", "gradient_penalty_weight": 10.0}
EXAMPLES = [
    Example(
        modality="image",
        write=_write_images,
        prepare={"height": 16, "width": 16},
        shape=(16, 16, 1),
        answers=lambda answer: np.shape(answer) == (16, 16, 1),
    ),
    Example(
        modality="audio",
        write=_write_sounds,
        prepare={"rate": _RATE, "samples": 256, "frame_length": 32, "frame_step": 16},
        shape=(16, 16, 1),
        train={"augment": ["time_translation"], "augment_probability": 0.5},
        answers=lambda answer: answer["rate"] == _RATE and answer["wav"].startswith("UklGR"),  # RIFF in base64
    ),
    Example(
        modality="text",
        write=_write_texts,
        prepare={"max_length": 10},
        shape=(8, 1, 1),
        answers=lambda answer: set(answer) <= set("abcdefgh") and len(answer) <= 8,
        train=_TEXT_TRAINING,
        extractor="ngram",
        refusal="must be UTF-8",
    ),
]
EACH = pytest.mark.parametrize("example", EXAMPLES, ids=str)
# For tests of what every modality does by the same code: `make test` runs them with images alone.
IMAGES_FIRST = pytest.mark.parametrize(
    "example",
    [EXAMPLES[0], *(pytest.param(example, marks=pytest.mark.repetition) for example in EXAMPLES[1:])],
    ids=str,
)
