"""The two sides of an evaluation, for every modality."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from modalities import EACH, EXAMPLES, Example
from recipes import project_parameters

from gan_core.codecs.text import TextCodec
from gan_core.config import EvaluateConfig
from gan_core.errors import InvalidInput
from gan_core.evaluation.images import GeneratedImages
from gan_core.evaluation.real_and_generated import open_sides


def test_two_modalities_are_refused_by_their_names(tmp_path: Path) -> None:
    config = EvaluateConfig.parse(project_parameters()["evaluate"])
    images, texts = (
        next(one for one in EXAMPLES if one.modality == name).prepared(tmp_path / name, 0, 20)
        for name in ("image", "text")
    )
    with pytest.raises(InvalidInput, match=rf"same modality\. Received: image in {images}, text in {texts}$"):
        open_sides(images, texts, config)


@EACH
def test_two_prepared_data_sets_are_compared_if_their_codecs_are_equal(example: Example, tmp_path: Path) -> None:
    config = EvaluateConfig.parse({**project_parameters()["evaluate"], "extractor": example.extractor})
    data = example.prepared(tmp_path / "data", 0, 60)
    sides = open_sides(data, data, config)
    assert (sides.generator, sides.codec.modality) == (None, example.modality)
    if example.modality == "audio":  # its codec is fitted to the clips
        other = example.prepared(tmp_path / "other", 60, 120)
        with pytest.raises(InvalidInput, match=r"must have the same codec.*Received: .*data.* and .*other"):
            open_sides(data, other, config)


def test_the_texts_of_a_champion_of_another_alphabet_are_shown_as_it_wrote_them() -> None:
    champion, data = (TextCodec(shape=(4, 1, 1), alphabet=alphabet) for alphabet in ("BCDE", "ABCD"))
    written = np.array([[1, 2, 3, 0]], np.uint8)[:, :, None, None]
    metadata = SimpleNamespace(codec=champion, shape=champion.shape, classes=(), paired=False, latent_size=2)
    generator = SimpleNamespace(metadata=metadata, draw=lambda latents, conditions: written)
    assert champion.texts(written) == ["BCD"]
    images = GeneratedImages(generator, 1, 0, compared=data)
    assert data.texts(images.images(np.array([0]))) == ["BCD"]
