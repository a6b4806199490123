"""The gate accepts only complete records with possible values that belong to exactly this generator."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from evaluations import evaluation, generator, register_config

from components.registry.gate import require_scored
from gan_core.errors import InvalidInput
from gan_core.evaluation.protocol import Evaluation, Interval
from gan_core.output_files import METADATA_FILE, MODEL_FILE

CONFIG = register_config("auto")
NAN, INFINITE = math.nan, math.inf


def changed(**parts: Any) -> Evaluation:
    """A valid record with other values: `scores={"fd_classifier": -5}` keeps the other scores."""
    whole = evaluation(9.0, 0.1).model_dump()
    for name, value in parts.items():
        whole[name] = whole[name] | value if isinstance(value, dict) and whole[name] else value
    return Evaluation(**whole)


def without(part: str) -> Evaluation:
    """A valid record without the deciding score's entry in one part."""
    entries = dict(getattr(evaluation(9.0, 0.1), part))
    del entries["fd_classifier"]
    return evaluation(9.0, 0.1).model_copy(update={part: entries})


def test_a_record_of_this_generator_is_accepted(tmp_path: Path) -> None:
    require_scored(CONFIG, generator(tmp_path / "model"), evaluation(9.0, 0.1))
    require_scored(
        CONFIG, tmp_path / "model", changed(scores={"kid_classifier": -0.01})
    )  # KID is unbiased, so it may be negative
    require_scored(CONFIG, tmp_path / "model", changed(intervals={"fd_classifier": Interval(low=8.0, high=10.0)}))


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (changed(scores={"fd_classifier": NAN}), "scores.fd_classifier must be finite, not nan"),
        (changed(scores={"kid_classifier": INFINITE}), "scores.kid_classifier must be finite, not inf"),
        (changed(scores={"fd_classifier": -5.0}), "scores.fd_classifier must be from 0 to inf, not -5.0"),
        (changed(scores={"fid": -5.0}, spread={"fid": 0.1}), "scores.fid must be from 0 to inf, not -5.0"),
        (changed(scores={"recall_x": 1.5}, spread={"recall_x": 0.1}), "scores.recall_x must be from 0 to 1, not 1.5"),
        (changed(spread={"fd_classifier": NAN}), "spread.fd_classifier must be finite, not nan"),
        (changed(spread={"fd_classifier": -0.1}), "spread.fd_classifier must be at least 0, not -0.1"),
        (without("spread"), "spread must be of the same scores as scores, but fd_classifier is in one of them only"),
        (without("standard_errors"), "must have the standard error of the score that decides"),
        (changed(standard_errors={"fd_classifier": NAN}), "standard_errors.fd_classifier must be finite"),
        (
            changed(standard_errors={"fd_classifier": -1.0}),
            "standard_errors.fd_classifier must be at least 0, not -1.0",
        ),
        (changed(standard_errors={"other": 1.0}), "standard_errors must be of the scores, not of other"),
        (
            changed(intervals={"fd_classifier": Interval(low=2.0, high=1.0)}),
            "intervals.fd_classifier must have low below high, not 2.0 and 1.0",
        ),
        (
            changed(intervals={"fd_classifier": Interval(low=-INFINITE, high=1.0)}),
            "intervals.fd_classifier.low must be finite",
        ),
        (changed(intervals={"other": Interval(low=1.0, high=2.0)}), "intervals must be of the scores, not of other"),
        (changed(protocol={"samples": 0}), "protocol.samples must be at least 1, not 0"),
        (changed(protocol={"sampling_seeds": (1, 1)}), "protocol.sampling_seeds must differ, not [1, 1]"),
        (changed(extractor_accuracy=NAN), "extractor_accuracy must be finite"),
        (
            changed(classes=[{"name": "a", "real_share": NAN, "generated_share": 0.5, "scores": {}}]),
            "classes.0.real_share must be finite",
        ),
        (
            changed(champion={"generator_digest": "x", "scores": {"kid": 1.0}, "spread": {}, "standard_errors": {}}),
            "champion.spread must be of the same scores as champion.scores, but kid",
        ),
        (changed(generator_digest=None), "as components.evaluate writes them: evaluate "),
        (
            changed(generator_digest="sha256-other"),
            "the content sha256-other, a generator with the content sha256-",
        ),
        (changed(dataset_digest="sha256-other"), "scores for the data sha256-other, a generator with the data"),
        (
            changed(images_seen=65),
            "examples seen 65, a generator with the number of examples seen 64",
        ),
    ],
)
def test_an_invalid_record_is_refused_with_one_sentence(tmp_path: Path, record: Evaluation, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_scored(CONFIG, generator(tmp_path / "model"), record)
    assert sentence in str(refused.value)
    assert "Received: " in str(refused.value)


def test_scores_of_another_run_are_refused(tmp_path: Path) -> None:
    own = generator(tmp_path / "model", "own")
    with pytest.raises(InvalidInput, match="scores for the run other, a generator with the run own"):
        require_scored(CONFIG, own, evaluation(10.0, 0.1, "other", of=own))


def test_a_generator_that_names_no_run_has_the_run_of_its_scores(tmp_path: Path) -> None:
    """MLflow was away during its training, and the evaluation sent the training's records."""
    unnamed = generator(tmp_path / "model")
    require_scored(CONFIG, unnamed, evaluation(10.0, 0.1, "sent later", of=unnamed))


def test_a_missing_score_is_refused(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"score": "fid"})
    with pytest.raises(InvalidInput, match="must name a score of the evaluation"):
        require_scored(config, generator(tmp_path / "model"), evaluation(9.0, 0.1))


@pytest.mark.parametrize("file", [METADATA_FILE, MODEL_FILE])
def test_a_generator_that_changed_after_its_evaluation_is_refused(tmp_path: Path, file: str) -> None:
    folder = generator(tmp_path / "model")
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    with pytest.raises(InvalidInput, match=r"in its current state: evaluate .* again"):
        require_scored(CONFIG, folder, evaluation(9.0, 0.1))
