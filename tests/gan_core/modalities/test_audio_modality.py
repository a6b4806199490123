from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from recipes import project_parameters, small_training

from components.training.build import training_images
from gan_core.codecs import codec_of
from gan_core.data.manifest import Manifest
from gan_core.data.parameters import PrepareConfig
from gan_core.data.prepare import prepare
from gan_core.data.prepared import PreparedDataset
from gan_core.errors import InvalidInput
from gan_core.modalities.choice import open_source

AUDIO = {"rate": 1000, "samples": 256, "frame_length": 32, "frame_step": 16}


def config(**changes: Any) -> PrepareConfig:
    values = project_parameters()["prepare"]
    audio = {**values["audio"], **AUDIO, **{key: changes.pop(key) for key in list(changes) if key in values["audio"]}}
    return PrepareConfig.parse(values | {"audio": audio, "max_rejected_fraction": 0.5} | changes)


def write(folder: Path, names: list[str]) -> None:
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for name in names:
        soundfile.write(folder / name, random.uniform(-0.9, 0.9, 300), 1000)


def prepared(source: Path, target: Path, **changes: Any) -> Manifest:
    return prepare(open_source(str(source)), config(source=str(source), **changes), target)


def test_a_folder_of_sounds_is_recognised_and_prepared(tmp_path: Path) -> None:
    write(tmp_path / "raw/a", [f"{index}.wav" for index in range(10)])
    write(tmp_path / "raw/b", [f"{index}.flac" for index in range(10)])
    (tmp_path / "raw/b/broken.wav").write_bytes(b"no sound")
    manifest = prepared(tmp_path / "raw", tmp_path / "data")
    assert manifest.shape == (16, 16, 1)
    assert [entry.path for entry in manifest.rejected] == ["b/broken.wav"]
    assert manifest.rejected[0].reason.startswith("not a WAV, FLAC, OGG or MP3 file")
    assert Manifest.parse((tmp_path / "data/manifest.json").read_bytes(), "").codec == manifest.codec


def test_a_sound_shorter_than_a_frame_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path / "raw", [f"{index}.wav" for index in range(10)])
    for count in (1, 31, 32):
        soundfile.write(tmp_path / f"raw/short {count}.wav", np.linspace(-0.5, 0.5, count), 1000)
    manifest = prepared(tmp_path / "raw", tmp_path / "data")
    assert [(entry.path, entry.reason) for entry in manifest.rejected] == [
        ("short 1.wav", "too short: 1 of the 32 samples of a frame"),
        ("short 31.wav", "too short: 31 of the 32 samples of a frame"),
    ]


def test_the_data_does_not_depend_on_the_names_of_the_files(tmp_path: Path) -> None:
    names = [f"{index}.wav" for index in range(12)]
    write(tmp_path / "raw", names)
    (tmp_path / "other").mkdir()
    for name, other in zip(names, reversed(names), strict=True):
        shutil.copy(tmp_path / "raw" / name, tmp_path / "other" / other)
    first, second = (prepared(tmp_path / name, tmp_path / f"data-{name}") for name in ("raw", "other"))
    assert first.digest == second.digest
    assert first.codec == second.codec


def test_the_codec_is_fitted_to_the_training_clips(tmp_path: Path) -> None:
    write(tmp_path / "raw", [f"{index}.wav" for index in range(12)])
    manifest = prepared(tmp_path / "raw", tmp_path / "data")
    codec, levels = codec_of(manifest), []
    for path in (tmp_path / "raw").iterdir():
        sound = soundfile.read(path, dtype="int16")[0]
        loud = np.flatnonzero(np.abs(sound.astype(int)) >= np.abs(sound.astype(int)).max() * 0.01)
        clip = sound[loud[0] : loud[-1] + 1][:256]
        padded = np.pad(np.pad(clip, (0, 256 - len(clip))) / 2**15, 8)
        frames = np.lib.stride_tricks.sliding_window_view(padded, 32)[::16] * np.hanning(33)[:-1]
        levels.append(np.log(np.abs(np.fft.rfft(frames))[:, :-1] + 1e-3))
    stored = PreparedDataset(tmp_path / "data").split("train")
    train = [
        one for one in levels if _spectrogram(one, codec).tobytes() in {_bytes(stored, i) for i in range(stored.count)}
    ]
    assert len(train) == stored.count
    assert np.allclose(codec.mean, np.concatenate(train).mean(axis=0), atol=1e-6)


def _spectrogram(levels: np.ndarray, codec: Any) -> np.ndarray:
    scaled = (levels - np.array(codec.mean)) / (3 * np.array(codec.deviation))
    return np.clip(np.floor(scaled * 127.5 + 128), 0, 255).astype(np.uint8).T[::-1]


def _bytes(images: Any, index: int) -> bytes:
    return images.images(np.array([index]))[0].tobytes()


def test_a_mixture_of_sounds_and_images_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "raw", ["a.wav"])
    (tmp_path / "raw/b.png").write_bytes(b"")
    with pytest.raises(InvalidInput, match="must belong to one modality"):
        open_source(str(tmp_path / "raw"))
    assert open_source(str(tmp_path / "raw"), "audio").count == 1


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"frame_length": 48}, "'prepare.audio.frame_length' must be twice the spectrogram's height"),
        ({"samples": 250}, "'prepare.audio.samples' must be 'frame_step' times the spectrogram's width"),
        ({"samples": 15 * 16, "frame_step": 15}, "'prepare.audio.frame_step' must be even and at most half"),
        ({"samples": 16 * 32, "frame_step": 32}, "'prepare.audio.frame_step' must be even and at most half"),
        ({"rate": 0}, "'prepare.audio.rate' must be greater than or equal to 1000"),
        ({"longer": "pad"}, "'prepare.audio.longer' must be 'crop' or 'refuse'"),
    ],
)
def test_parameters_that_give_no_spectrogram_are_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        config(**changes)


def test_an_augmentation_that_no_sound_survives_is_refused_before_training(tmp_path: Path) -> None:
    write(tmp_path / "raw", [f"{index}.wav" for index in range(12)])
    prepared(tmp_path / "raw", tmp_path / "data")
    dataset = PreparedDataset(tmp_path / "data")
    options = {"augment_probability": 0.5, "normalization": "none"}
    training_images(small_training(augment=["time_translation"], **options), dataset)
    with pytest.raises(InvalidInput, match=r"must be made of time_translation .* modality audio"):
        training_images(small_training(augment=["time_translation", "color"], **options), dataset)
