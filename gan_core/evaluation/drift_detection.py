"""Drift detection: compares the features and class shares of new data with those of a champion's training data."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.config import DriftConfig
from gan_core.data.manifest import Manifest
from gan_core.errors import InvalidInput
from gan_core.evaluation.metrics.kernel import kernel_distance
from gan_core.evaluation.unwritable import Unwritable
from gan_core.record import Record

FEWEST_IMAGES_IN_A_BLOCK = 10
_VERDICTS = {True: "drift", False: "no drift"}


class Distance(Record):
    """The kernel distance, with its confidence interval from `low` to `high`."""

    value: float
    low: float
    high: float


class Shares(Record):
    """The share of each class in two data sets.

    Attributes:
        reference, data: the shares in the reference and in the data, by class.
        total_variation: half the sum of the absolute differences of the shares: 0 if equal, 1 if no class is shared.
        p_value: p-value of the chi-square test; the null hypothesis is that both data sets have the same distribution.
    """

    reference: dict[str, float]
    data: dict[str, float]
    total_variation: float
    p_value: float


class Drift(Record):
    """The record that components.drift writes.

    Attributes:
        drifted: whether the features, the classes or the symbols of texts have drifted.
        reasons: one sentence for each comparison.
        rule: the parameters of the decision.
        reference_digest, data_digest: digests of the two prepared data sets.
        extractor: name of the network whose features are compared; None if the two data sets are the same.
        distance: between the features of the held-out images; None if the two data sets are the same.
        shares: None if the two data sets are the same or one has no classes.
        unwritable: the new texts that a generator of the reference cannot write; None if there are none.
    """

    format: Literal[1]
    drifted: bool
    reasons: tuple[str, ...]
    rule: DriftConfig
    reference_digest: str
    data_digest: str
    extractor: str | None
    distance: Distance | None
    shares: Shares | None
    unwritable: Unwritable | None = None


def require_comparable(config: DriftConfig, reference: Manifest, data: Manifest) -> None:
    """Checks that two prepared data sets can be compared.

    Raises:
        InvalidInput: they are of different modalities, their images have different shapes, their codecs cannot be
            compared, or too few are held out.
    """
    modalities = [codec_of(manifest).modality for manifest in (reference, data)]
    if modalities[0] != modalities[1]:
        raise InvalidInput(
            "Reference and data must be of the same modality. "
            f"Received: {modalities[0]} in the reference, {modalities[1]} in the data"
        )
    if reference.shape != data.shape and None in (reference.codec, data.codec):
        raise InvalidInput(
            "Reference and data must have arrays of the same shape. "
            f"Received: {reference.shape} in the reference, {data.shape} in the data"
        )
    codec_of(data).require_comparable(by=codec_of(reference))
    counts = reference.counts["held_out"], data.counts["held_out"]
    fewest = config.blocks * FEWEST_IMAGES_IN_A_BLOCK
    if min(counts) < fewest:
        raise InvalidInput(
            f"Drift detection requires at least {fewest} held-out examples in each data set, "
            f"{FEWEST_IMAGES_IN_A_BLOCK} for each of drift.blocks={config.blocks}. "
            f"Received: {counts[0]} in the reference, {counts[1]} in the data"
        )


def block_distance(
    reference: NDArray[np.floating], data: NDArray[np.floating], config: DriftConfig, seed: int
) -> Distance:
    """Returns the mean, over disjoint blocks, of the unbiased squared MMD, with Student's t interval.

    MMD is the maximum mean discrepancy. Both sets are shuffled and cut into `config.blocks` blocks of the same size.
    The blocks share no image, so their distances are independent, and mean ± t·s/√blocks holds whether the sets differ
    or not. The distance over all images is not normally distributed when the sets do not differ. Images that are in
    both sets make the distance smaller.

    Args:
        reference: features [N, D].
        data: features [M, D].
        config: number of blocks, and confidence of the interval.
        seed: seed of the shuffles.

    Reference: Zaremba et al. 2013, "B-test: a non-parametric, low variance kernel two-sample test", arXiv 1307.1954,
    section 3.
    """
    from scipy.stats import t

    generator = np.random.Generator(np.random.Philox(key=seed))
    size = min(len(reference), len(data)) // config.blocks
    x, y = (
        features[generator.permutation(len(features))[: size * config.blocks]].reshape(config.blocks, size, -1)
        for features in (reference, data)
    )
    distances = [kernel_distance(x[block], y[block], 1, size, seed)[0] for block in range(config.blocks)]
    value = float(np.mean(distances))
    margin = float(
        t.ppf((1 + config.confidence) / 2, config.blocks - 1) * np.std(distances, ddof=1) / math.sqrt(config.blocks)
    )
    return Distance(value=value, low=value - margin, high=value + margin)


def class_shares(reference: Manifest, data: Manifest) -> Shares | None:
    """Compares the class shares by class name; None if either data set has no classes.

    Reference: Pearson 1900, chi-square test of homogeneity on the table of counts.
    """
    if not reference.classes or not data.classes:
        return None
    from scipy.stats import chi2_contingency

    reference_counts, data_counts = (
        {entry.name: entry.train + entry.held_out for entry in manifest.classes} for manifest in (reference, data)
    )
    names = sorted(
        name
        for name in reference_counts.keys() | data_counts.keys()
        if reference_counts.get(name, 0) + data_counts.get(name, 0) > 0
    )
    table = np.array([[side.get(name, 0) for name in names] for side in (reference_counts, data_counts)])
    shares = table / table.sum(axis=1, keepdims=True)
    return Shares(
        reference=dict(zip(names, shares[0].tolist(), strict=True)),
        data=dict(zip(names, shares[1].tolist(), strict=True)),
        total_variation=float(np.abs(shares[0] - shares[1]).sum() / 2),
        p_value=float(chi2_contingency(table).pvalue) if len(names) > 1 else 1.0,
    )


def unchanged(config: DriftConfig, digest: str) -> Drift:
    """Returns the record for two data sets with the same digest."""
    return Drift(
        format=1,
        drifted=False,
        reasons=("the data and the reference are identical: no drift",),
        rule=config,
        reference_digest=digest,
        data_digest=digest,
        extractor=None,
        distance=None,
        shares=None,
    )


def decide(
    config: DriftConfig,
    extractor: str,
    reference: Manifest,
    data: Manifest,
    distance: Distance,
    *,
    unwritable: Unwritable | None = None,
) -> Drift:
    """Decides whether the data has drifted: a difference must be both significant and large.

    The features have drifted if the whole interval of their distance lies above `config.kid_threshold`. The classes
    have drifted if the chi-square test rejects the null hypothesis at `config.confidence` and the total variation is
    above `config.class_share_threshold`. Texts have also drifted if the share of those that are unwritable is above the
    same threshold; none of the reference is, so a share that large is no chance.
    """
    shares = class_shares(reference, data)
    features_drifted = distance.low > config.kid_threshold
    reasons = [
        f"kernel distance {distance.value:.3g}, {config.confidence:.0%} confidence interval {distance.low:.3g} to "
        f"{distance.high:.3g}, threshold {config.kid_threshold:g}: {_VERDICTS[features_drifted]}"
    ]
    classes_drifted = False
    if shares:
        rejected = shares.p_value < 1 - config.confidence
        classes_drifted = rejected and shares.total_variation > config.class_share_threshold
        reasons.append(
            f"class shares: total variation {shares.total_variation:.1%}, p-value {shares.p_value:.2g}, "
            f"threshold {config.class_share_threshold:.1%}: {_VERDICTS[classes_drifted]}"
        )
    texts_drifted = unwritable is not None and unwritable.share > config.class_share_threshold
    if unwritable:
        reasons.append(
            f"{unwritable.sentence()}, threshold {config.class_share_threshold:.1%}: {_VERDICTS[texts_drifted]}"
        )
    return Drift(
        format=1,
        drifted=features_drifted or classes_drifted or texts_drifted,
        reasons=tuple(reasons),
        rule=config,
        reference_digest=reference.digest,
        data_digest=data.digest,
        extractor=extractor,
        distance=distance,
        shares=shares,
        unwritable=unwritable,
    )
