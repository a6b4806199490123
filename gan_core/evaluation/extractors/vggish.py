"""Features of the VGGish network. Only the Fréchet distance of these features is called FAD.

Reference: Kilgour et al. 2019, arXiv 1812.08466.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.codecs.audio import AudioCodec
from gan_core.evaluation.extractors.clips import HEARD, METHOD, RATE, heard
from gan_core.evaluation.extractors.vggish_network import BANDS, FEATURES, build_network, load_tensors
from gan_core.evaluation.extractors.weights import VGGISH, Weights

CLIPS_AT_ONCE = 32  # the activations of more clips take gigabytes
_FRAME_LENGTH, _FRAME_STEP, _TRANSFORM_LENGTH = 400, 160, 512
_LOWEST_HZ, _HIGHEST_HZ = 125.0, 7500.0
_LOG_OFFSET = 0.01


class VggishExtractor:
    """The network's features of clips, which are decoded from their stored spectrograms.

    Attributes:
        name: part of the scores' names: `vggish`, or `vggish_unverified` if the weight file is not the published one,
            in which case no score is called FAD.
        digest: `sha256-<hex>` of the weight file.
        size, accuracy: as in `Extractor`.
        resize: name of the method that brings clips to the network's rate, loudness and length.

    Raises:
        InvalidInput: the weights are not those of this network.
    """

    size = FEATURES
    resize = METHOD
    accuracy = None

    def __init__(self, weights: Weights, codec: AudioCodec) -> None:
        import tensorflow as tf

        self.digest = weights.digest
        self.name = weights.name("vggish", VGGISH)
        self._codec = codec
        network = build_network()
        load_tensors(network, weights.tensors)
        signature = [tf.TensorSpec([None, HEARD], tf.float64)]
        self._features = tf.function(lambda clips: network(log_mel(clips)), input_signature=signature)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the features float32 [B, 128] of spectrograms uint8 [B, H, W, 1]."""
        clips = heard(self._codec.decode(images), self._codec.rate)
        parts = [clips[start : start + CLIPS_AT_ONCE] for start in range(0, len(clips), CLIPS_AT_ONCE)]
        return np.concatenate([self._features(part).numpy() for part in parts])


def log_mel(clips: Any) -> Any:
    """Returns log(mel + 0.01), float32 [B, frames, 64], of clips, float64 [B, N] at 16 kHz.

    mel is the magnitude of 25 ms, every 10 ms, in 64 triangular bands from 125 to 7,500 Hz.
    """
    import tensorflow as tf

    magnitudes = tf.abs(tf.signal.stft(clips, _FRAME_LENGTH, _FRAME_STEP, _TRANSFORM_LENGTH))
    bins = _TRANSFORM_LENGTH // 2 + 1
    bands = tf.signal.linear_to_mel_weight_matrix(BANDS, bins, RATE, _LOWEST_HZ, _HIGHEST_HZ, tf.float64)
    return tf.cast(tf.math.log(magnitudes @ bands + _LOG_OFFSET), tf.float32)
