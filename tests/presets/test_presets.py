"""Every preset is consistent, trains and resumes. No test trains a preset to its end."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import blobs, write_dataset
from ruamel.yaml import YAML

from gan_core.config import TrainConfig
from gan_core.data.parameters import PrepareConfig
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.networks.build import build_discriminator, build_generator
from gan_core.recipes import RECIPES, with_recipe
from gan_core.representation import network_shape
from gan_core.training.batches import RealBatches
from gan_core.training.checkpoints import Checkpoints
from gan_core.training.loop import Training
from gan_core.training.state import Gan
from pipelines import parameters

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
NAMES = [path.stem for path in PRESETS]
LABELLED = ("embedded", "fashion-mnist", "speech", "names", "data/raw/cifar10")
COMPLETE = {"speech": "audio", "names": "text"}  # sections that a pipeline compiled for images lacks
LETTERS = 26  # of the names
STEPS, STOP_AFTER_STEPS = 3, 2
# Makes a preset small enough for a CPU, but keeps its layers, loss and penalties.
SMALL = {"generator_width": 2, "discriminator_width": 2, "latent_size": 4, "batch_size": 4, "steps": STEPS}


class Hooks:
    """Asks to stop after `stop_after` images."""

    def __init__(self, stop_after: int) -> None:
        self.stop_after, self.seen = stop_after, 0

    def on_step(self, images_seen) -> None:
        self.seen = images_seen

    def on_row(self, row) -> None: ...

    def on_samples(self, images_seen, images) -> None: ...

    def stop_requested(self) -> bool:
        return self.seen >= self.stop_after


def sections(name: str) -> dict[str, parameters.Values]:
    defaults = parameters.read(ROOT / "params.yaml")
    return parameters.override(defaults, parameters.preset(ROOT / "presets" / f"{name}.yaml"))


def complete(name: str) -> dict[str, parameters.Values]:
    """Returns the sections of a preset as its data complete them."""
    preset = sections(name)
    recipe = {"speech": "sound with classes", "names": "text"}.get(name, "images")
    chosen = next(one for one in RECIPES if one.name == recipe)
    preset["train"] = with_recipe(TrainConfig.parse(preset["train"]), chosen).model_dump()
    image = {"height": 28, "width": 28, "channels": 1}  # of the embedded images
    values = preset["prepare"]["image"]
    preset["prepare"]["image"] = {key: image[key] if value == "auto" else value for key, value in values.items()}
    return preset


def shape_of(preset: dict[str, parameters.Values]) -> tuple[int, int, int]:
    if preset["prepare"]["source"] == "speech":
        audio = preset["prepare"]["audio"]
        return audio["frame_length"] // 2, audio["samples"] // audio["frame_step"], 1
    if preset["prepare"]["source"] == "names":
        return 13, 1, 1
    image = preset["prepare"]["image"]
    return image["height"], image["width"], image["channels"]


def symbols_of(preset: dict[str, parameters.Values]) -> int:
    return 1 + LETTERS if preset["train"]["network"] == "text" else 0


def arrays(preset: dict[str, parameters.Values], shape: tuple[int, int, int], count: int, seed: int) -> np.ndarray:
    if symbols := symbols_of(preset):
        return np.random.default_rng(seed).integers(0, symbols, (count, *shape)).astype(np.uint8)
    return blobs(count, *shape[1:], seed=seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_contains_only_values_that_differ(name) -> None:
    defaults, resolved = parameters.read(ROOT / "params.yaml"), sections(name)
    document = YAML(typ="safe", pure=True).load(ROOT / "presets" / f"{name}.yaml") or {}
    given = {
        (section, key): value for section, values in document.items() for key, value in parameters.flat(values).items()
    }
    changed = {
        (section, key): value
        for section, values in resolved.items()
        for key, value in parameters.flat(values).items()
        if value != parameters.flat(defaults[section])[key] or key.partition(".")[0] == COMPLETE.get(name)
    }
    assert changed == given


@pytest.mark.parametrize("name", COMPLETE)
def test_a_pipeline_compiled_for_images_runs_other_data_by_the_presets_parameters_alone(name) -> None:
    defaults = parameters.read(ROOT / "params.yaml")
    compiled = {**defaults, "prepare": parameters.chosen_only(defaults["prepare"])}
    assert compiled["prepare"].keys() & COMPLETE.values() == set()
    changed = parameters.override(compiled, parameters.preset(ROOT / "presets" / f"{name}.yaml"))
    sent = PrepareConfig.parse(parameters.chosen_only(changed["prepare"]))
    assert sent.of(COMPLETE[name]).model_dump() == defaults["prepare"][COMPLETE[name]]
    with pytest.raises(InvalidInput, match=rf"must have the section 'prepare.{COMPLETE[name]}'.*as a preset does"):
        parameters.override(compiled, [f"prepare.source={name}"])


def test_the_first_steps_list_exactly_the_presets() -> None:
    section = (ROOT / "docs/first-steps.md").read_text().partition("## Presets\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_preset_has_its_source_or_reason_in_a_comment(name) -> None:
    lines = (ROOT / "presets" / f"{name}.yaml").read_text().splitlines()
    assert [line for line in lines if line.startswith("  ") and "# " not in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_ends_with_the_training(name) -> None:
    train = complete(name)["train"]
    images = train["steps"] * train["batch_size"] * train["discriminator_steps"]
    assert train["schedule"] == "constant" or train["schedule_images"] == images


def reduced(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Divides both sides so that the shorter one is 16, if it is longer; then there are fewer layers of each kind."""
    height, width, channels = shape
    factor = max(1, min(height, width) // 16)
    return height // factor, width // factor, channels


@pytest.mark.parametrize("size", ["reduced", pytest.param("full", marks=pytest.mark.repetition)])
@pytest.mark.parametrize("name", NAMES)
def test_a_preset_trains_and_resumes_to_the_same_weights(name, size, tmp_path) -> None:
    preset = complete(name)
    shape, at_most = shape_of(preset), {"accumulation_steps": 2}
    if size == "reduced":
        shape, at_most = reduced(shape), {**at_most, "discriminator_steps": 2, "depth": 1}
    fewer = {key: min(value, preset["train"][key]) for key, value in at_most.items()}
    labelled = preset["prepare"]["source"] in LABELLED
    config = TrainConfig.parse({**preset["train"], **SMALL, **fewer}).resolved(labelled=labelled)
    classes = 3 if config.conditional == "on" else 0
    data = write_dataset(
        tmp_path / "data", arrays(preset, shape, 12, seed=0), arrays(preset, shape, 4, seed=1), classes
    )
    images = PreparedDataset(data).split("train")

    gan = Gan(config, shape, classes, symbols=symbols_of(preset))

    def hooks(stop_after_steps: int) -> Hooks:
        return Hooks(stop_after_steps * gan.images_per_step)

    with Checkpoints(tmp_path / "whole", config.checkpoints_kept) as checkpoints:
        training = Training(gan, RealBatches(images, config), checkpoints)
        assert not training.run(hooks(STOP_AFTER_STEPS))
        shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
        assert training.run(hooks(STEPS + 1))
    whole = gan.state()
    # State outside the checkpoint has changed meanwhile.
    with Checkpoints(tmp_path / "stopped", config.checkpoints_kept) as checkpoints:
        training = Training(gan, RealBatches(images, config), checkpoints)
        assert training.resume()
        assert gan.images_seen == STOP_AFTER_STEPS * gan.images_per_step
        assert training.run(hooks(STEPS + 1))
    for key, array in gan.state().items():
        np.testing.assert_array_equal(array, whole[key], err_msg=key)
        assert np.isfinite(array).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_networks_are_built_at_full_size(name) -> None:
    preset = complete(name)
    train, shape = preset["train"], network_shape(shape_of(preset), symbols_of(preset))
    config = TrainConfig.parse(train).resolved(labelled=preset["prepare"]["source"] in LABELLED)
    classes = 10 if config.conditional == "on" else 0
    generator = build_generator(config, shape, classes, synchronized=False, dtype="float32")
    discriminator = build_discriminator(config, shape, classes, synchronized=False, dtype="float32")
    assert generator.output_shape == (None, *shape)
    mask = np.ones((1, discriminator.dropout_features), np.float32) if train["dropout"] else None
    labels = np.zeros(1, np.int32) if classes else None
    assert discriminator(np.zeros((1, *shape), np.float32), labels, mask).shape == (1,)
