"""The devices under test, and the record of the last run on a GPU. `make test-gpu` runs these tests on a GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from last_run import Outcome, described_machine, write_last_run


@pytest.fixture(scope="session")
def gpus() -> list[Any]:
    """The GPUs. TensorFlow has the settings of the commands, and computes float32 in full precision (no TF32)."""
    import tensorflow as tf

    from components.cli.tensorflow_settings import configure_tensorflow

    found = tf.config.list_physical_devices("GPU")
    if not found:
        pytest.skip("no GPU: tf.config.list_physical_devices('GPU') is empty")
    configure_tensorflow()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in found:
        # Otherwise this process would take the memory that the processes of some tests need.
        tf.config.experimental.set_memory_growth(gpu, True)
    return found


@pytest.fixture(params=["CPU", "GPU"])
def device(request: pytest.FixtureRequest) -> Any:
    """The device under test. Each test also runs on a CPU, which shows that the test itself is right."""
    import device_training

    if request.param == "GPU":
        request.getfixturevalue("gpus")
    return getattr(device_training, request.param)


_outcomes: list[Outcome] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keeps the outcome of each test that used a GPU."""
    on_gpu = "tests/gpu/test_gpu.py" in report.nodeid and "[CPU" not in report.nodeid
    if on_gpu and (report.when == "call" or not report.passed):
        _outcomes.append(Outcome.of(report))


def pytest_sessionfinish() -> None:
    """Writes the outcomes into the page that GPU_PAGE names, if a test has used a GPU."""
    page = os.environ.get("GPU_PAGE")
    if page and any(outcome.result != "skipped" for outcome in _outcomes):
        write_last_run(Path(page), described_machine(), _outcomes)
