"""Tests drift detection: the interval's coverage on known distributions, the test of the shares, and the decision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gan_core.codecs.audio import AudioCodec
from gan_core.codecs.text import TextCodec
from gan_core.config import DriftConfig
from gan_core.data.manifest import ClassEntry, Manifest
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.evaluation.drift_detection import Distance, block_distance, class_shares, decide, require_comparable
from gan_core.evaluation.unwritable import Unwritable
from tests.datasets import blobs, write_dataset

CONFIG = DriftConfig(confidence=0.95, blocks=10, kid_threshold=0.0, class_share_threshold=0.05)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = write_dataset(tmp_path_factory.mktemp("data") / "set", blobs(100), blobs(100, seed=1), classes=2)
    return PreparedDataset(folder).manifest


def with_classes(manifest: Manifest, **counts: int) -> Manifest:
    return manifest.model_copy(
        update={
            "classes": tuple(ClassEntry(name=name, train=n - n // 4, held_out=n // 4) for name, n in counts.items())
        }
    )


def normal(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32) + np.float32(shift)


def expected_distance(shift: float) -> float:
    """E MMD² of N(0, 1) and N(shift, 1) in one dimension under (xy + 1)³: Σ C(3, j) (E xʲ − E yʲ)²."""
    return 3 * shift**2 + 3 * (shift**2) ** 2 + (3 * shift + shift**3) ** 2


def test_the_interval_covers_the_expected_distance_at_its_confidence_level() -> None:
    config = CONFIG.model_copy(update={"confidence": 0.9})
    inside = 0
    for seed in range(200):
        x, y = normal(2 * seed, 400)[:, :1], normal(2 * seed + 1, 400, 0.3)[:, :1]
        distance = block_distance(x, y, config, seed)
        inside += distance.low <= expected_distance(0.3) <= distance.high
    assert 0.84 <= inside / 200 <= 0.96  # 0.9 ± 3 standard errors


def test_equal_distributions_are_rarely_rejected_and_different_ones_are() -> None:
    same = [block_distance(normal(seed, 200), normal(seed + 500, 200), CONFIG, seed).low > 0 for seed in range(200)]
    assert np.mean(same) <= 0.06  # 0.025 plus three standard errors
    assert block_distance(normal(0, 200), normal(1, 200, 1.0), CONFIG, 0).low > 0


def test_identical_images_in_both_data_sets_are_no_drift() -> None:
    features = normal(0, 200)
    assert all(block_distance(features, features, CONFIG, seed).low < 0 for seed in range(50))


def test_shares_are_compared_by_name(manifest: Manifest) -> None:
    shares = class_shares(with_classes(manifest, cat=50, dog=50), with_classes(manifest, dog=60, cat=20, fox=20))
    assert shares is not None
    assert shares.reference == {"cat": 0.5, "dog": 0.5, "fox": 0.0}
    assert shares.data == {"cat": 0.2, "dog": 0.6, "fox": 0.2}
    assert shares.total_variation == pytest.approx(0.3)
    # Pearson's statistic by hand: 225/35 + 225/35 + 25/55 + 25/55 + 100/10 + 100/10, two degrees of freedom.
    assert shares.p_value == pytest.approx(np.exp(-(450 / 35 + 50 / 55 + 20) / 2))
    assert class_shares(with_classes(manifest), with_classes(manifest, cat=1)) is None


@pytest.mark.parametrize(
    ("low", "counts", "drifted", "words"),
    [
        (-0.1, {"cat": 500, "dog": 500}, False, "no drift"),
        (
            0.01,
            {"cat": 500, "dog": 500},
            True,
            "distance 1, 95% confidence interval 0.01 to 2, threshold 0: drift",
        ),
        (-0.1, {"cat": 700, "dog": 300}, True, "class shares: total variation 20.0%"),
        (-0.1, {"cat": 7, "dog": 3}, False, "p-value 0.34, threshold 5.0%: no drift"),  # large, but not significant
        (-0.1, {"cat": 104000, "dog": 96000}, False, "total variation 2.0%"),  # significant, but small
    ],
)
def test_drift_is_a_significant_and_large_difference(
    manifest: Manifest, low: float, counts: dict[str, int], drifted: bool, words: str
) -> None:
    reference = with_classes(manifest, cat=10000, dog=10000)
    drift = decide(
        CONFIG, "classifier", reference, with_classes(manifest, **counts), Distance(value=1, low=low, high=2)
    )
    assert drift.drifted is drifted
    assert any(words in reason for reason in drift.reasons), drift.reasons


@pytest.mark.parametrize(
    ("symbols", "share", "drifted", "words"),
    [
        ("éß", 0.06, True, "6 texts (6.0%) have symbols that the reference does not have (é ß) or more than 8 symbols"),
        ("", 0.05, False, "5 texts (5.0%) have more than 8 symbols, threshold 5.0%: no drift"),
    ],
)
def test_many_texts_that_the_reference_cannot_write_are_drift(
    manifest: Manifest, symbols: str, share: float, drifted: bool, words: str
) -> None:
    unwritable = Unwritable(symbols=symbols, longest=8, texts=round(100 * share), share=share)
    near = Distance(value=0, low=-1, high=1)
    drift = decide(CONFIG, "ngram", manifest, manifest, near, unwritable=unwritable)
    assert drift.drifted is drifted
    assert words in drift.reasons[-1]


def test_a_higher_threshold_tolerates_a_significant_difference(manifest: Manifest) -> None:
    config = CONFIG.model_copy(update={"kid_threshold": 0.5})
    assert not decide(config, "classifier", manifest, manifest, Distance(value=1, low=0.4, high=2)).drifted


def test_too_few_images_and_other_shapes_are_refused(manifest: Manifest) -> None:
    require_comparable(CONFIG, manifest, manifest)
    few = manifest.model_copy(update={"counts": {"train": 500, "held_out": 99}})
    with pytest.raises(
        InvalidInput, match=r"100 held-out examples in each data set, .* Received: 100 in the reference, 99"
    ):
        require_comparable(CONFIG, manifest, few)
    with pytest.raises(InvalidInput, match="arrays of the same shape"):
        require_comparable(CONFIG, manifest, manifest.model_copy(update={"shape": (16, 16, 3)}))


def test_two_modalities_are_refused_whichever_is_the_reference(manifest: Manifest) -> None:
    texts = manifest.model_copy(update={"codec": TextCodec(shape=(4, 1, 1), alphabet="ab"), "shape": (4, 1, 1)})
    for sides in ((manifest, texts), (texts, manifest)):
        received = " in the reference, ".join("text" if side is texts else "image" for side in sides)
        with pytest.raises(InvalidInput, match=rf"of the same modality\. Received: {received} in the data$"):
            require_comparable(CONFIG, *sides)


@pytest.mark.parametrize("change", [{"rate": 16000}, {"samples": 4, "frame_step": 2, "shape": (2, 2, 1)}])
def test_clips_of_another_rate_or_length_are_refused_before_anything_is_computed(
    manifest: Manifest, change: dict[str, Any]
) -> None:
    codec = AudioCodec(
        shape=(2, 4, 1), rate=8000, samples=8, frame_length=4, frame_step=2, mean=(0, 0), deviation=(1, 1)
    )
    reference, data = (
        manifest.model_copy(update={"codec": one, "shape": one.shape})
        for one in (codec, AudioCodec.model_validate(codec.model_dump() | change))
    )
    require_comparable(CONFIG, reference, reference)
    with pytest.raises(InvalidInput, match="Clips that are compared must have the same rate and length"):
        require_comparable(CONFIG, reference, data)


def test_symbols_that_cannot_be_seen_are_named() -> None:
    found = Unwritable(symbols=" \u200cé", longest=8, texts=1, share=0.5)
    assert "(U+0020 (SPACE) U+200C (ZERO WIDTH NON-JOINER) é)" in found.sentence()
