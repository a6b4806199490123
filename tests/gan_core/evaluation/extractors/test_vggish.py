"""The VGGish network and its input, compared with NumPy computations from the publications' formulas."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vggish_weights import random_vggish

from gan_core.codecs.audio import AudioCodec
from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.clips import HEARD, heard
from gan_core.evaluation.extractors.vggish import VggishExtractor, log_mel
from gan_core.evaluation.extractors.vggish_network import build_network, load_tensors
from gan_core.evaluation.extractors.weights import VGGISH, Weights, load_weights

RATE = 16_000


@pytest.fixture(scope="module")
def network() -> Any:
    network = build_network()
    load_tensors(network, random_vggish())
    return network


def tone(hertz: float, rate: int, count: int, level: float = 0.5) -> np.ndarray:
    return np.rint(level * 2**15 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)).astype(np.int16)


def mel(hertz: Any) -> Any:
    return 1127 * np.log1p(np.asarray(hertz) / 700)


def log_mel_by_formula(clip: np.ndarray) -> np.ndarray:
    """Sums the frequencies of each triangle in a loop, as Hershey et al. describe it: 64 bands, log(mel + 0.01)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    edges = np.linspace(mel(125), mel(7500), 66)
    rows = []
    for start in range(0, len(clip) - 399, 160):
        magnitudes = np.abs(np.fft.fft(clip[start : start + 400] * window, 512))
        row = np.zeros(64)
        for bin_number in range(1, 257):
            place = mel(bin_number * RATE / 512)
            rising = (place - edges[:-2]) / (edges[1:-1] - edges[:-2])
            falling = (edges[2:] - place) / (edges[2:] - edges[1:-1])
            row += np.maximum(0, np.minimum(rising, falling)) * magnitudes[bin_number]
        rows.append(np.log(row + 0.01))
    return np.array(rows)


def features_by_formula(levels: np.ndarray, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Computes the network in the order of torchvggish's modules, in float64."""
    x = levels[:, None].astype(np.float64)
    for module, pooled in ((0, True), (3, True), (6, False), (8, True), (11, False), (13, True)):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        weight, bias = tensors[f"features.{module}.weight"], tensors[f"features.{module}.bias"]
        x = np.maximum(np.moveaxis(np.tensordot(patches, weight, ((1, 4, 5), (1, 2, 3))) + bias, -1, 1), 0)
        if pooled:
            batch, channels, height, width = x.shape
            x = x.reshape(batch, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))
    x = x.transpose(0, 2, 3, 1).reshape(len(x), -1)  # time, band, channel
    for module in (0, 2, 4):
        x = x @ tensors[f"embeddings.{module}.weight"].T + tensors[f"embeddings.{module}.bias"]
        x = np.maximum(x, 0) if module < 4 else x
    return x


def test_the_tensors_are_those_of_the_published_file(network: Any) -> None:
    assert network.output_shape == (None, 128)
    assert len(random_vggish()) == 18
    assert network.count_params() == 72_141_184  # times 4 bytes is the published file's size, 289 MB


def test_the_network_equals_a_computation_by_formula(network: Any) -> None:
    levels = np.random.default_rng(0).normal(0, 2, (2, 96, 64)).astype(np.float32)
    expected = features_by_formula(levels, random_vggish())
    found = network(levels).numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert found.min() < 0  # the last layer has no activation


def test_the_input_equals_a_computation_by_formula() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, HEARD)
    clips = np.stack([noise, 1e-3 * noise, tone(440, RATE, HEARD) / 2**15, np.zeros(HEARD)])
    expected = np.stack([log_mel_by_formula(clip) for clip in clips])
    found = log_mel(clips).numpy()
    assert found.shape == (4, 96, 64)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[3], np.log(0.01), rtol=1e-6)


def test_wrong_tensors_are_refused(network: Any) -> None:
    tensors = random_vggish()
    for wrong in (
        {name: tensor for name, tensor in tensors.items() if name != "features.0.bias"},
        {**tensors, "features.0.bias": np.zeros(63, np.float32)},
        {**tensors, "features.0.bias": np.full(64, np.nan, np.float32)},
    ):
        with pytest.raises(InvalidInput, match=r"VGGish network: 18 finite tensors.*features\.0\.bias"):
            load_tensors(network, wrong)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
def test_a_clip_is_resampled_and_ends_with_silence(rate: int) -> None:
    clip = heard(tone(1000, rate, rate // 2)[None], rate)[0]
    assert clip.shape == (HEARD,)
    assert np.abs(np.fft.rfft(clip[:8000])).argmax() == 500  # 1,000 Hz
    np.testing.assert_allclose(clip[1000:7000], np.sin(np.pi / 8 * np.arange(1000, 7000)), atol=0.01)
    assert not clip[8000:].any()


def test_the_highest_sample_becomes_1_but_quiet_clips_are_amplified_by_20_decibels_only() -> None:
    shape = np.linspace(-1.6, 0.8, RATE)  # the end is not heard, but decides
    clips = np.rint(np.array([[0.5], [0.01]]) * 2**15 * shape).astype(np.int16)
    loud, quiet = heard(clips, RATE)
    np.testing.assert_allclose(loud, shape[:HEARD] / 0.8, atol=1e-3)
    np.testing.assert_allclose(quiet, shape[:HEARD] * 0.1, atol=1e-3)


def test_features_are_those_of_the_decoded_clip_and_do_not_depend_on_the_batch(network: Any) -> None:
    random = np.random.default_rng(0)
    clips = np.stack([tone(hertz, 8000, 1024) for hertz in random.uniform(200, 3000, 35)])
    codec = AudioCodec.fit(clips, rate=8000, samples=1024, frame_length=64, frame_step=32)
    spectrograms = codec.spectrograms(clips)
    extractor = VggishExtractor(Weights("sha256-test", random_vggish()), codec)
    features = extractor(spectrograms)  # more than the network takes at once
    assert features.shape == (35, 128)
    assert (extractor.name, extractor.size, extractor.digest) == ("vggish_unverified", 128, "sha256-test")
    np.testing.assert_allclose(features[33:], extractor(spectrograms[33:]), rtol=1e-4, atol=1e-4)
    expected = features_by_formula(
        np.stack([log_mel_by_formula(heard(codec.decode(spectrograms[:1]), 8000)[0])]), random_vggish()
    )
    np.testing.assert_allclose(features[:1], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


WEIGHTS = os.environ.get("VGGISH_WEIGHTS")


@pytest.mark.skipif(not WEIGHTS, reason="needs VGGISH_WEIGHTS, torchvggish's file")
def test_the_published_weights_give_the_published_features(network: Any, tmp_path: Path) -> None:
    """Mean and deviation are those of VGGish's own test, for the three examples of a sine of 1 kHz in three seconds."""
    weights = load_weights(VGGISH, str(WEIGHTS), tmp_path)
    assert weights.name("vggish", VGGISH) == "vggish"
    load_tensors(network, weights.tensors)
    levels = log_mel(np.sin(2 * np.pi * 1000 * np.arange(3 * RATE) / RATE)[None]).numpy()
    features = network(levels[0, :288].reshape(3, 96, 64)).numpy()
    assert features.mean() == pytest.approx(0.000657, rel=0.1)
    assert features.std() == pytest.approx(0.343, rel=0.01)
