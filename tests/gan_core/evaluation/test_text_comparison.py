"""Tests which texts are compared with a language model, and that an evaluation names those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_core.config import EvaluateConfig
from gan_core.evaluation.evaluator import evaluate
from gan_core.evaluation.extractors.ngram import NgramExtractor
from gan_core.evaluation.feature_extraction import extract_features
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.real_and_generated import open_sides
from gan_core.evaluation.text_comparison import NOT_COMPARED
from tests.modalities import EXAMPLES

EXAMPLE = next(example for example in EXAMPLES if example.modality == "text")


def evaluated(real: Path, generated: Path, folder: Path) -> Evaluation:
    section = EXAMPLE.parameters()["evaluate"] | {"metrics": ["fid"], "samples": 200}
    config, extractor = EvaluateConfig.parse(section), NgramExtractor()
    sides = open_sides(real, generated, config)
    return evaluate(config, extractor, extract_features(config, sides, extractor, folder / "cache"))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return EXAMPLE.prepared(tmp_path_factory.mktemp("generated"), 1000, 1600)


@pytest.mark.parametrize(
    ("count", "compared", "left_out"), [(300, ["closed"], ("open",)), (100, [], ("closed", "open"))]
)
def test_classes_with_too_few_texts_are_named(
    count: int, compared: list[str], left_out: tuple[str, ...], generated: Path, tmp_path: Path
) -> None:
    found = evaluated(EXAMPLE.prepared(tmp_path, 0, count), generated, tmp_path)
    assert found.texts is not None
    assert (list(found.texts.classes), found.texts.left_out) == (compared, left_out)
    assert NOT_COMPARED not in found.warnings


def test_an_evaluation_says_that_there_are_too_few_texts_to_compare(generated: Path, tmp_path: Path) -> None:
    found = evaluated(EXAMPLE.prepared(tmp_path, 0, 10), generated, tmp_path)
    assert (found.protocol.reference_count, found.texts) == (3, None)
    assert found.warnings[-1] == NOT_COMPARED
