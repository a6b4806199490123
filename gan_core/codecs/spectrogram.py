"""The short-time Fourier transform of clips, and the clips whose transform has given magnitudes.

A clip of N samples gets (frame_length − frame_step) / 2 zeros at both ends, and so exactly N / frame_step frames. Each
sample is weighted by at least two frames, so no division is ill-conditioned.

Reference: Griffin and Lim 1984, Signal estimation from modified short-time Fourier transform; Perraudin, Balazs and
Søndergaard 2013, A fast Griffin-Lim algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ITERATIONS = 60
_MOMENTUM = 0.99  # α of Perraudin et al.
_SMALLEST = 1e-12  # keeps a division by a magnitude of 0 finite


@dataclass(frozen=True)
class Frames:
    """Division of a clip into overlapping frames.

    Attributes:
        length: samples in a frame; even.
        step: samples between two frames; even, at most half of the length.
    """

    length: int
    step: int

    @property
    def window(self) -> NDArray[np.float64]:
        """Periodic Hann window, sin²(πn / length)."""
        return np.sin(np.pi * np.arange(self.length) / self.length) ** 2

    def transform(self, clips: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Short-time Fourier transform of clips [B, N], complex [B, N / step, length / 2 + 1]."""
        padding = (self.length - self.step) // 2
        padded = np.pad(clips, ((0, 0), (padding, padding)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.length, axis=1)[:, :: self.step]
        return np.fft.rfft(frames * self.window)

    def inverse(self, transform: NDArray[np.complex128]) -> NDArray[np.float64]:
        """The clips [B, N] whose transform is nearest to [B, N / step, length / 2 + 1], by least squares.

        x(n) = Σ_m w(n − mS) y_m(n − mS) / Σ_m w²(n − mS), with y_m the m-th frame's samples, w the window and S the
        step: Griffin and Lim 1984, equation 6.
        """
        frames = np.fft.irfft(transform, self.length) * self.window
        weights = np.broadcast_to(self.window**2, frames.shape[1:])[None]
        padding = (self.length - self.step) // 2
        total = self._overlapped(frames) / np.maximum(self._overlapped(weights), _SMALLEST)
        return total[:, padding : total.shape[1] - padding]

    def _overlapped(self, frames: NDArray[np.float64]) -> NDArray[np.float64]:
        """Adds overlapping frames [B, M, length] to [B, (M − 1)·step + length]."""
        batch, count, length = frames.shape
        total = np.zeros((batch, (count - 1) * self.step + length))
        for index in range(count):
            total[:, index * self.step : index * self.step + length] += frames[:, index]
        return total

    def with_magnitudes(self, magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The clips [B, N] whose transform has nearly the magnitudes [B, N / step, length / 2 + 1].

        The first phases are drawn from a fixed seed, the same for every clip, so a clip depends on its magnitudes
        alone.
        """
        random = np.random.Generator(np.random.Philox(0))
        phases = np.exp(2j * np.pi * random.random(magnitudes.shape[1:]))
        previous = np.zeros_like(phases)
        estimate = magnitudes * phases
        for _ in range(_ITERATIONS):
            projected = self.transform(self.inverse(estimate))
            accelerated = projected + _MOMENTUM * (projected - previous)
            estimate = magnitudes * accelerated / np.maximum(np.abs(accelerated), _SMALLEST)
            previous = projected
        return self.inverse(estimate)
