"""The model card of a registered version: its words, and that it lies beside the model in the registry."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluations import evaluation, generator, register_config
from registrations import MARKS

from components.registry.model_card import FILE, licence, model_card
from components.registry.registration import register
from components.tracking.server import connect
from gan_core.config import RegisterConfig
from gan_core.evaluation.protocol import Interval
from gan_core.export import read_metadata

pytestmark = MARKS

CONFIG = register_config("cats")
CARD = """\
# cats

A GAN's generator. It draws images of a requested class as arrays of 16 × 16 × 1.

## Intended use

Tests.

## Data

- Source: `synthetic`
- Version: `sha256-0000000000000000000000000000000000000000000000000000000000000000`
- Licence: CC0
- 2 classes, with the share of each when none is requested: `’<b>|` 75.0%, `two` 25.0%

## Training

- 64 images seen, counting repetitions
- train.network: `dcgan`
- MLflow run: `none`
- git revision: `abc`

## Scores

5,000 generated images for each of 3 seeds, compared with 2,500 real images (held_out) by the extractor `classifier`.

| score | value | ± over seeds | 95 % interval | better |
|---|---|---|---|---|
| fd_classifier | 10.50 | 0.10 |  | lower |
| kid_classifier | 0.1050 | 0.0010 | 0.0000 to 1.0000 | lower |

## Limits

- It draws images like those of its training data, with their gaps and biases. Nobody has examined what is missing or \
over-represented in the data beyond the scores above.
- A generated image can resemble a training image closely; the scores of memorisation say how often.
- Scores can be compared only with scores under the same protocol, which is in the version's tag `evaluation`.
- Its training had collapsed: nearly all of its samples are the same.
- Few &lt;i> images.
"""


def test_a_card_says_what_is_known_of_a_generator(tmp_path: Path) -> None:
    folder = generator(tmp_path / "model", classes=("`<b>|", "two"), class_shares=(0.75, 0.25), collapsed=True)
    metadata = read_metadata(folder).model_copy(update={"parameters": {"network": "dcgan", "latent_size": 8}})
    scores = evaluation(10.5, 0.1).model_copy(
        update={"warnings": ("Few <i> images.",), "intervals": {"kid_classifier": Interval(low=0.0, high=1.0)}}
    )
    assert model_card(CONFIG, metadata, scores, {"git_revision": "abc"}) == CARD


@pytest.mark.parametrize("newline", ["\n", "\r", "\n\n", "\u2028"])
def test_words_and_names_add_no_markup_to_a_card(newline: str, tmp_path: Path) -> None:
    hostile = f"x ![i](http://e) <script>{newline}# Fake{newline}| a | *b*"
    one_line = r"x !\[i\](http://e) &lt;script> \# Fake \| a \| \*b\*"
    folder = generator(tmp_path / "model", classes=(hostile, "two"), class_shares=(0.5, 0.5))
    config = CONFIG.model_copy(update={"data_licence": hostile, "intended_use": hostile})
    card = model_card(config, read_metadata(folder), evaluation(10.5, 0.1), {"git_revision": hostile})
    lines = card.split("\n")
    assert card.splitlines() == lines[:-1]
    assert [line for line in lines if line.startswith("#")] == [line for line in CARD.split("\n") if line[:1] == "#"]
    assert f"- Licence: {one_line}" in lines
    assert one_line in lines


@pytest.mark.parametrize(
    ("configured", "source", "expected"),
    [
        ("auto", "embedded", "MIT (Fashion-MNIST, © 2017 Zalando SE)"),
        ("auto", "data/raw/embedded", "unknown"),
        ("CC BY 4.0", "embedded", "CC BY 4.0"),
    ],
)
def test_the_licence_of_built_in_data_is_known(configured: str, source: str, expected: str) -> None:
    assert licence(CONFIG.model_copy(update={"data_licence": configured}), source) == expected


def test_the_card_lies_beside_the_registered_model_and_follows_its_words(tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    def card() -> str:
        return Path(download_artifacts("models:/cats@champion", dst_path=tmp_path)).joinpath(FILE).read_text()

    model = generator(Path("cats"))
    first = register(CONFIG.model_copy(update={"data_licence": "auto"}), model, evaluation(10.0, 0.1, of=model))
    assert first["data_licence"] == "unknown"
    assert "- Licence: unknown" in card()

    again = register(CONFIG, model, evaluation(10.0, 0.1, of=model))
    assert again["repeated"], "the words of a card are no reason to decide again"
    assert again["data_licence"] == "CC0"
    assert "- Licence: CC0" in card()
    client = connect()
    assert len(client.search_model_versions("name = 'cats'")) == 1


def test_the_words_of_the_card_are_no_part_of_the_rule() -> None:
    assert set(RegisterConfig.model_fields) - set(CONFIG.rule()) == {"data_licence", "intended_use"}
