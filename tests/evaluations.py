"""Evaluation records for the tests, and matching generators."""

from __future__ import annotations

import tempfile
from pathlib import Path

from generators import generator_metadata

from gan_core.config import RegisterConfig
from gan_core.evaluation.protocol import Evaluation, Protocol
from gan_core.export import generator_digest
from gan_core.output_files import METADATA_FILE, MODEL_FILE

PROTOCOL = Protocol(
    extractor="classifier",
    extractor_digest="sha256-1",
    resize="none",
    reference="held_out",
    reference_digest="sha256-2",
    reference_count=2500,
    samples=5000,
    sampling_seeds=(0, 1, 2),
    kid_subsets=100,
    kid_subset_size=1000,
)


def register_config(model_name: str) -> RegisterConfig:
    """Returns the section register with this name and a rule for the tests."""
    return RegisterConfig(
        model_name=model_name,
        score="fd_classifier",
        minimum_improvement=0.1,
        spread_multiplier=2.0,
        data_licence="CC0",
        intended_use="Tests.",
    )


def evaluation(
    score: float, spread: float, run_id: str | None = None, of: Path | None = None, **protocol: object
) -> Evaluation:
    """Returns an evaluation after 64 images with the score `fd_classifier`; `protocol` holds changes to PROTOCOL.

    It belongs to the generator in the folder `of`, or by default to that of `generator(…, run_id)`.
    """
    if of is None:
        with tempfile.TemporaryDirectory() as folder:
            digest = generator_digest(generator(Path(folder) / "model", run_id))
    else:
        digest = generator_digest(of)
    return Evaluation(
        format=1,
        scores={"fd_classifier": score, "kid_classifier": score / 100},
        spread={"fd_classifier": spread, "kid_classifier": spread / 100},
        standard_errors={"fd_classifier": 0.0, "kid_classifier": 0.0},
        warnings=(),
        protocol=PROTOCOL.model_copy(update=protocol),
        images_seen=64,
        dataset_digest=f"sha256-{'0' * 64}",
        tracking_run_id=run_id,
        generator_digest=digest,
    )


def generator(folder: Path, run_id: str | None = None, seed: int = 0, **changes: object) -> Path:
    """Writes a folder that looks like a generator until it is loaded; `changes` apply to its metadata."""
    metadata = generator_metadata(parameters={"seed": seed}, tracking_run_id=run_id, versions={"keras": "3"}, **changes)
    folder.mkdir(parents=True)
    (folder / METADATA_FILE).write_text(metadata.model_dump_json())
    (folder / MODEL_FILE).write_bytes(b"weights")
    return folder
