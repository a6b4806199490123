from __future__ import annotations

import numpy as np
import pytest

from gan_core.codecs.spectrogram import Frames

FRAMES = [Frames(128, 64), Frames(128, 48), Frames(256, 128), Frames(512, 256)]


def noise(frames: Frames, count: int = 16) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, count * frames.step))


@pytest.mark.parametrize("frames", FRAMES)
def test_the_transform_is_tensorflows(frames: Frames) -> None:
    import tensorflow as tf

    clips = noise(frames)
    padding = (frames.length - frames.step) // 2
    padded = np.pad(clips, ((0, 0), (padding, padding)))
    expected = tf.signal.stft(tf.constant(padded), frames.length, frames.step).numpy()
    assert expected.shape == (2, 16, frames.length // 2 + 1)
    assert np.allclose(frames.transform(clips), expected, atol=1e-10)


@pytest.mark.parametrize("frames", FRAMES)
def test_the_transform_is_scipys(frames: Frames) -> None:
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    transform = ShortTimeFFT(hann(frames.length, sym=False), frames.step, fs=1, phase_shift=None)
    clips = noise(frames)
    # scipy centres frame m on sample m·step; the first frame of `Frames` is centred on step / 2.
    shifted = np.pad(clips, ((0, 0), (frames.length // 2 - frames.step // 2, frames.length)))
    first = frames.length // 2
    expected = np.stack(
        [
            np.fft.rfft(shifted[:, start : start + frames.length] * transform.win)
            for start in range(0, clips.shape[1], frames.step)
        ],
        axis=1,
    )
    assert first == transform.m_num_mid
    assert np.allclose(frames.transform(clips), expected, atol=1e-10)


def test_a_tone_at_the_centre_of_a_bin_has_the_closed_form() -> None:
    """A·cos(2πkn/L) under a Hann window: |X(k)| = A·L/4, |X(k ± 1)| = A·L/8, and 0 elsewhere."""
    frames = Frames(128, 64)
    tone = 0.8 * np.cos(2 * np.pi * 10 * np.arange(64 * 16) / 128)
    inner = np.abs(frames.transform(tone[None]))[0, 2:-2]
    expected = np.zeros(65)
    expected[9:12] = 0.8 * 128 * np.array([1 / 8, 1 / 4, 1 / 8])
    assert np.allclose(inner, expected, atol=1e-10)


@pytest.mark.parametrize("frames", FRAMES)
def test_the_inverse_returns_the_clips(frames: Frames) -> None:
    clips = noise(frames)
    assert np.allclose(frames.inverse(frames.transform(clips)), clips, atol=1e-12)


def test_the_inverse_is_the_least_squares_solution() -> None:
    """It is the pseudo-inverse of the transform, applied to a transform that no clip has."""
    frames = Frames(8, 4)
    random = np.random.default_rng(1)
    spectrum = random.standard_normal((1, 5, 5)) + 1j * random.standard_normal((1, 5, 5))
    blocks = np.fft.irfft(spectrum, 8)[0]  # the real frames, in which the distance is the same up to a factor
    analysis = np.stack(
        [
            (np.lib.stride_tricks.sliding_window_view(np.pad(unit, 2), 8)[::4] * frames.window).ravel()
            for unit in np.eye(20)
        ],
        axis=1,
    )
    expected = np.linalg.lstsq(analysis, blocks.ravel(), rcond=None)[0]
    assert np.allclose(frames.inverse(spectrum)[0], expected, atol=1e-10)


@pytest.mark.parametrize("frames", FRAMES)
def test_griffin_lim_finds_a_clip_with_nearly_the_magnitudes(frames: Frames) -> None:
    time = np.arange(32 * frames.step) / 8000
    clip = np.sin(2 * np.pi * (300 + 400 * time) * time) * np.hanning(len(time))
    magnitudes = np.abs(frames.transform(clip[None]))
    found = np.abs(frames.transform(frames.with_magnitudes(magnitudes)))
    convergence = 20 * np.log10(np.linalg.norm(found - magnitudes) / np.linalg.norm(magnitudes))
    assert convergence < -25


def test_a_clip_depends_on_its_own_magnitudes_alone() -> None:
    frames = Frames(128, 64)
    magnitudes = np.abs(frames.transform(noise(frames)))
    together, alone = frames.with_magnitudes(magnitudes), frames.with_magnitudes(magnitudes[1:])
    assert np.array_equal(together[1:], alone)
    assert np.array_equal(together, frames.with_magnitudes(magnitudes))


def test_silence_stays_silent() -> None:
    assert not Frames(128, 64).with_magnitudes(np.zeros((1, 16, 65))).any()
