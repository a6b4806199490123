"""Tests of the comparison of protocols."""

from __future__ import annotations

from evaluations import PROTOCOL

from gan_core.evaluation.extractors.features import FEATURES_KEPT
from gan_core.evaluation.protocol import Protocol


def test_a_record_without_the_number_of_kept_features_can_be_compared() -> None:
    earlier = Protocol.model_validate(PROTOCOL.model_dump(exclude={"features_kept"}))
    now = PROTOCOL.model_copy(update={"features_kept": FEATURES_KEPT})
    assert earlier.differences(now) == []
    assert PROTOCOL.model_copy(update={"features_kept": 7}).differences(earlier) == ["features_kept: 7, not 10000"]
