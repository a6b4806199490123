"""Every modality with every value of the parameters that depend on it: the value works, or is refused in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from modalities import EXAMPLES, Example

from components.check import check
from components.training.build import build_gan, training_images
from gan_core.config import EvaluateConfig, TrainConfig
from gan_core.data.parameters import PrepareConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.build import build_extractor
from gan_core.evaluation.score_meanings import score_name
from gan_core.training.batches import RealBatches
from gan_core.training.step import TrainStep

# What is refused, by modality and parameter. Everything else must work.
REFUSED = {
    ("image", "network"): {"text"},
    ("audio", "network"): {"unet", "text"},
    ("text", "network"): {"dcgan", "resnet", "r3gan", "fastgan", "unet"},
    ("text", "normalization"): {"batch", "spectral"},
    ("image", "augment"): {"time_translation"},
    ("audio", "augment"): {"color", "translation", "cutout"},
    ("text", "augment"): {"color", "translation", "cutout", "time_translation"},
    ("image", "extractor"): {"ngram", "vggish"},
    ("audio", "extractor"): {"ngram", "inception", "dinov2"},
    ("text", "extractor"): {"random", "inception", "dinov2", "vggish"},
}
# Extractors whose weights are not part of this project.
_DOWNLOADED = ("inception", "dinov2", "vggish")
# Parameters that a value needs, whatever the data.
NEEDED: dict[str, dict[str, Any]] = {
    "resnet": {"normalization": "spectral"},
    "r3gan": {"normalization": "none"},
    "fastgan": {"normalization": "batch", "loss": "hinge", "gradient_penalty_weight": 0.0},
    "text": {"normalization": "none", "growth": 1},
    "relativistic": {"normalization": "none"},
    "wasserstein": {"normalization": "none", "gradient_penalty_weight": 1.0},
    "l1": {"reconstruction_weight": 1.0},
    "l2": {"reconstruction_weight": 1.0},
}
VALUES = {
    **{
        name: get_args(TrainConfig.model_fields[name].annotation)
        for name in ("network", "normalization", "loss", "reconstruction")
    },
    "augment": get_args(get_args(TrainConfig.model_fields["augment"].annotation)[0]),
    "extractor": get_args(EvaluateConfig.model_fields["extractor"].annotation),
}


def _case(example: Example, name: str, value: str) -> object:
    """A training on sound is one on its pictures, so only what sound refuses or alone has is a behaviour of its own."""
    shared = example.modality == "audio" and name in ("network", "normalization", "loss", "reconstruction")
    repeated = shared and value not in REFUSED.get(("audio", name), ())
    return pytest.param(example, name, value, marks=[pytest.mark.repetition] if repeated else [])


CASES = [_case(example, name, value) for example in EXAMPLES for name, values in VALUES.items() for value in values]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PreparedDataset]:
    """Returns a function that prepares a data set of an example once."""

    @cache
    def prepared(example: Example, pairs: str = "none") -> PreparedDataset:
        of = example if pairs == "none" else example.with_pairs(pairs)
        return PreparedDataset(of.prepared(tmp_path_factory.mktemp(example.modality)))

    return prepared


def train_two_steps(example: Example, name: str, value: str, data: Callable[..., PreparedDataset]) -> None:
    given = data(example, "inpainting") if value == "unet" and example.modality == "image" else data(example)
    changes = {"augment": [value], "augment_probability": 0.5} if name == "augment" else {name: value}
    sizes = {"latent_size": 4, "generator_width": 2, "discriminator_width": 2, "batch_size": 4}
    own = {**example.parameters()["train"], **sizes, **NEEDED.get(value, {}), **changes}
    if value != "wasserstein" and name == "loss":
        own["gradient_penalty_weight"] = 0.0
    config = TrainConfig.parse(own).resolved(labelled=True)
    items = training_images(config, given)  # refuses what does not fit the data
    gan, _, _ = build_gan(config, given)
    before, step = gan.state(), TrainStep(gan)
    for _ in range(2):
        step(RealBatches(items, config).batches(gan.images_seen, steps=1))
    after = gan.state()
    assert all(np.isfinite(array).all() for array in after.values())
    for network in ("generator/", "discriminator/"):
        assert any((after[key] != before[key]).any() for key in after if key.startswith(network)), network


def extract(example: Example, value: str, data: Callable[..., PreparedDataset], cache: Path) -> None:
    sections = example.parameters()
    sections["evaluate"]["extractor"] = value
    for name in _DOWNLOADED:
        sections["evaluate"][f"{name}_weights"] = "absent.pth"
    sections["register"]["score"] = score_name("fd", value)
    given = data(example)
    check(json.dumps(sections["evaluate"]), json.dumps(sections["register"]), given, cache)
    extractor = build_extractor(EvaluateConfig.parse(sections["evaluate"]), given, cache)
    features = extractor(next(iter(given.split("held_out").batches(8))))
    assert features.shape == (8, extractor.size)
    assert np.isfinite(features).all()


@pytest.mark.parametrize(("example", "name", "value"), CASES, ids=str)
def test_a_value_works_or_is_refused_with_the_values_that_work(
    example: Example, name: str, value: str, dataset: Callable[..., PreparedDataset], tmp_path: Path
) -> None:
    refused = REFUSED.get((example.modality, name), set())
    message = ""
    try:
        if name == "extractor":
            extract(example, value, dataset, tmp_path)
        else:
            train_two_steps(example, name, value, dataset)
    except InvalidInput as error:
        message = str(error)
    if value in _DOWNLOADED and value not in refused:
        assert "absent.pth" in message
        return
    assert bool(message) == (value in refused), message
    if message:
        rule, _, received = message.partition(" Received: ")
        assert value in received
        assert [works for works in VALUES[name] if works not in refused and works not in rule] == []


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.modality != "image"], ids=str)
def test_only_images_have_pairs(example: Example) -> None:
    section = example.parameters()["prepare"]
    section[example.modality]["pairs"] = "inpainting"
    with pytest.raises(InvalidInput, match=rf"There is no parameter 'prepare\.{example.modality}\.pairs'"):
        PrepareConfig.parse(section)
