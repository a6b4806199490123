"""Describes the machine of a measurement in one line."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> str:
    """Returns processor, cores and versions.

    TensorFlow enables oneDNN by default on processors with instructions for neural networks, so a peer with
    TensorFlow's default settings is faster there.
    """
    import keras
    import tensorflow as tf

    described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in described)}
    flags = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile"} & set(fields.get("flags", "").split())
    return (
        f"{fields.get('model name', platform.machine())} ({', '.join(sorted(flags))}), {os.cpu_count()} cores; Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}."
    )
