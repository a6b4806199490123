"""The clips that the extractor `vggish` needs, and what its network hears of each. Imports no TensorFlow.

A clip is resampled to 16 kHz and divided by its highest sample, but not amplified by more than 20 dB. The network hears
96 frames of 25 ms, one every 10 ms: the first 0.975 seconds. A shorter clip ends with silence.

The authors of the Fréchet audio distance do the same with each second of a sound, and begin one every half second. Here
a clip has one row of features, so it must be too short for a second one. They leave out sounds of less than a second;
silence is what `prepare` appends to a short clip as well.

Reference: Kilgour et al. 2019, arXiv 1812.08466, and the authors' program.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs import codec_of
from gan_core.codecs.audio import AudioCodec
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput

RATE = 16_000
HEARD = 15_600
"""Number of samples that the network hears."""
SECONDS_OF_TWO_WINDOWS = 1.5
METHOD = "soxr_hq_16000_hz_highest_sample_first_0.975_seconds"
"""The name of all this in a score's protocol."""
_LOWEST_PEAK = 0.1
_FULL_SCALE = 2**15


def require_clips(dataset: PreparedDataset | None) -> AudioCodec:
    """Returns the codec of the data set after checking that its clips have one window each.

    Raises:
        InvalidInput: there is no prepared data set of sound, or its clips are too long.
    """
    codec = codec_of(dataset.manifest) if dataset else None
    if dataset is None or not isinstance(codec, AudioCodec):
        received = f"{codec.modality} in {dataset.folder}" if dataset and codec else "only images"
        raise InvalidInput(
            "The extractor 'vggish' hears sound, so it requires a prepared data set of sound. "
            f"Received: evaluate.extractor='vggish', {received}"
        )
    if codec.samples >= SECONDS_OF_TWO_WINDOWS * codec.rate:
        raise InvalidInput(
            f"The extractor 'vggish' hears one window of each clip, so clips must be shorter than "
            f"{SECONDS_OF_TWO_WINDOWS} seconds: lower prepare.audio.samples, or set evaluate.extractor to 'classifier' "
            f"or 'random'. Received: evaluate.extractor='vggish', {codec.samples} samples at {codec.rate} Hz in "
            f"{dataset.folder}"
        )
    return codec


def heard(clips: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    """Returns what the network hears, float64 [B, 15600], of clips, int16 [B, N] at `rate` Hz."""
    samples = clips / _FULL_SCALE
    if rate != RATE:
        import soxr

        samples = np.stack([soxr.resample(clip, rate, RATE, "HQ") for clip in samples])
    samples = samples / np.maximum(samples.max(axis=1, keepdims=True), _LOWEST_PEAK)
    silence = max(0, HEARD - samples.shape[1])
    return np.pad(samples[:, :HEARD], ((0, 0), (0, silence)))
