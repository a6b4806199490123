from __future__ import annotations

import io
import math
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from gan_core.codecs.audio import AudioCodec, wav
from gan_core.data.sound import to_clip
from gan_core.data.speech import speech

SIZES = {"rate": 8000, "samples": 3072, "frame_length": 128, "frame_step": 48}


def clips(every: int = 40) -> np.ndarray:
    options = {"trim_decibels": 40, "longer": "crop", "shorter": "pad"}
    return np.stack([to_clip(one / 2**15, SIZES["samples"], **options) for one in speech()[0][::every]])


@pytest.fixture(scope="module")
def codec() -> AudioCodec:
    return AudioCodec.fit(clips(), **SIZES)


@pytest.mark.parametrize(
    ("rate", "samples", "length", "step", "shape"),
    [
        (8000, 4096, 128, 64, (64, 64, 1)),
        (8000, 3072, 128, 48, (64, 64, 1)),
        (16000, 16384, 256, 128, (128, 128, 1)),
        (16000, 16384, 512, 256, (256, 64, 1)),
    ],
)
def test_the_sizes(rate: int, samples: int, length: int, step: int, shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(0).integers(-9000, 9000, (2, samples)).astype(np.int16)
    codec = AudioCodec.fit(noise, rate=rate, samples=samples, frame_length=length, frame_step=step)
    assert codec.shape == shape
    spectrograms = codec.spectrograms(noise)
    assert spectrograms.shape == (2, *shape)
    assert spectrograms.dtype == np.uint8
    assert codec.decode(spectrograms).shape == (2, samples)


def test_the_mean_and_deviation_are_those_of_each_bins_log_magnitudes(codec: AudioCodec) -> None:
    import tensorflow as tf

    padded = np.pad(clips() / 2**15, ((0, 0), (40, 40)))
    levels = np.log(np.abs(tf.signal.stft(padded, 128, 48).numpy())[:, :, :-1] + 1e-3)
    assert np.allclose(codec.mean, levels.mean(axis=(0, 1)), atol=1e-6)
    assert np.allclose(codec.deviation, levels.std(axis=(0, 1)), atol=1e-6)


def test_a_byte_is_the_clipped_and_scaled_level(codec: AudioCodec) -> None:
    """The formula in the module's docstring, for one frame and one bin."""
    clip = clips()[7]
    frame = np.pad(clip / 2**15, (40, 40))[20 * 48 : 20 * 48 + 128]
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 128) for n in range(128)]
    spectrum = sum(frame[n] * hann[n] * np.exp(-2j * math.pi * 5 * n / 128) for n in range(128))
    level = (math.log(abs(spectrum) + 1e-3) - codec.mean[5]) / (3 * codec.deviation[5])
    expected = math.floor(127.5 * (1 + min(max(level, -1), 1)) + 0.5)
    assert 0 < expected < 255
    assert codec.encode(clip)[63 - 5, 20, 0] == expected


def test_the_first_row_is_the_highest_frequency(codec: AudioCodec) -> None:
    time = np.arange(3072) / 8000
    low = (8000 * np.sin(2 * np.pi * 250 * time)).astype(np.int16)
    rows = codec.encode(low)[:, 20, 0].astype(int)
    assert rows[-5] > 200 > rows[0]


def test_the_codec_loses_little(codec: AudioCodec) -> None:
    """Spectral convergence of real speech through the codec, and the bytes after decoding and encoding again."""
    real = clips()
    heard = codec.decode(codec.spectrograms(real))
    magnitudes, found = (np.abs(codec._frames.transform(side / 2**15)) for side in (real, heard))
    convergence = np.linalg.norm(found - magnitudes, axis=(1, 2)) / np.linalg.norm(magnitudes, axis=(1, 2))
    assert 20 * np.log10(convergence).mean() < -25
    difference = codec.perceived(codec.spectrograms(real), codec).astype(float) - codec.spectrograms(real)
    assert np.sqrt((difference**2).mean()) < 5


def test_extreme_spectrograms_decode(codec: AudioCodec) -> None:
    extremes = np.stack([np.zeros(codec.shape), np.full(codec.shape, 255)]).astype(np.uint8)
    quiet, loud = np.abs(codec.decode(extremes).astype(int)).max(axis=1)
    assert quiet < 100 < loud


def test_a_wav_file_holds_the_clip_and_its_rate(codec: AudioCodec) -> None:
    clip = clips()[0]
    samples, rate = soundfile.read(io.BytesIO(wav(clip, codec.rate)), dtype="int16")
    assert rate == 8000
    assert np.array_equal(samples, clip)


def test_a_bin_that_never_changes_has_a_positive_deviation() -> None:
    codec = AudioCodec.fit(np.zeros((2, 3072), np.int16), **SIZES)
    assert min(codec.deviation) > 0
    assert not codec.decode(codec.spectrograms(np.zeros((1, 3072), np.int16))).any()


def test_a_codec_needs_a_value_for_each_bin(codec: AudioCodec) -> None:
    with pytest.raises(ValidationError, match="for each frequency bin"):
        AudioCodec.model_validate(codec.model_dump() | {"mean": codec.mean[1:]})


def test_another_process_gets_the_same_bytes(codec: AudioCodec) -> None:
    script = (
        "import sys; from gan_core.codecs.audio import AudioCodec; import numpy as np;"
        "codec = AudioCodec.model_validate_json(sys.argv[1]);"
        "clips = np.frombuffer(sys.stdin.buffer.read(), np.int16).reshape(-1, 3072);"
        "sys.stdout.buffer.write(codec.perceived(codec.spectrograms(clips), codec).tobytes());"
        "assert not {'tensorflow', 'soundfile', 'PIL'} & sys.modules.keys()"
    )
    real = clips(200)
    command = [sys.executable, "-c", script, codec.model_dump_json()]
    result = subprocess.run(command, input=real.tobytes(), capture_output=True, check=True)
    assert result.stdout == codec.perceived(codec.spectrograms(real), codec).tobytes()
