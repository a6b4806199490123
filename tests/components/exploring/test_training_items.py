"""The nearest training items of images and texts, from the data that trained the generator alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generators import untrained_generator
from modalities import EACH, Example

from components.cli.tensorflow_settings import configure_tensorflow
from components.exploring.training_items import nearest_items
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.export import load_generator


@EACH
def test_a_training_item_is_its_own_nearest_item(example: Example, tmp_path: Path) -> None:
    configure_tensorflow()
    dataset = example.prepared(tmp_path)
    generator = load_generator(untrained_generator(dataset, tmp_path / "generator", **example.train))
    train = PreparedDataset(dataset).split("train")
    arrays = train.images(np.array([5, train.count - 1]))
    found = nearest_items(dataset, generator, arrays)
    np.testing.assert_array_equal(found.arrays, arrays)
    assert found.captions == ["a copy", "a copy"]
    changed = arrays.copy()
    changed[:, 0] = 255 - changed[:, 0] if example.modality != "text" else 1 + changed[:, 0] % 8
    assert all(one != "a copy" for one in nearest_items(dataset, generator, changed).captions)


@EACH
def test_other_data_are_refused(example: Example, tmp_path: Path) -> None:
    configure_tensorflow()
    dataset = example.prepared(tmp_path / "one")
    other = example.prepared(tmp_path / "other", 100, 160)
    generator = load_generator(untrained_generator(dataset, tmp_path / "generator", **example.train))
    arrays = PreparedDataset(dataset).split("train").images(np.arange(2))
    with pytest.raises(InvalidInput, match="need the data that trained this version"):
        nearest_items(other, generator, arrays)
