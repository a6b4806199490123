"""The library: data, networks, objectives, training, evaluation. Free of orchestration, tracking and cloud.

The names below are the public ones; docs/library.md shows them at work. Each is imported when it is first used, so
`import gan_core` loads no TensorFlow.

The examples in their docstrings are run as tests. They start with `from gan_core import *`, with `params`, the sections
of params.yaml, in a folder with the prepared data set `digits` and the trained generator `generator`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # where type checkers and editors find the names; _MODULES holds the same for Python
    from gan_core.config import EvaluateConfig, PrepareConfig, RegisterConfig, TrainConfig
    from gan_core.data.prepare import prepare
    from gan_core.data.prepared import PreparedDataset
    from gan_core.data.sources import open_source
    from gan_core.errors import InvalidInput, TryAgain
    from gan_core.export import load_generator, save_generator
    from gan_core.generator import Generator
    from gan_core.training.checkpoints import Checkpoints

__all__ = [
    "Checkpoints",
    "EvaluateConfig",
    "Generator",
    "InvalidInput",
    "PrepareConfig",
    "PreparedDataset",
    "RegisterConfig",
    "TrainConfig",
    "TryAgain",
    "load_generator",
    "open_source",
    "prepare",
    "save_generator",
]

_MODULES = {
    "config": ("EvaluateConfig", "PrepareConfig", "RegisterConfig", "TrainConfig"),
    "data.prepare": ("prepare",),
    "data.prepared": ("PreparedDataset",),
    "data.sources": ("open_source",),
    "errors": ("InvalidInput", "TryAgain"),
    "export": ("load_generator", "save_generator"),
    "generator": ("Generator",),
    "training.checkpoints": ("Checkpoints",),
}
_MODULE_OF = {name: f"gan_core.{module}" for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # a type checker would take any name for one that __getattr__ finds

    def __getattr__(name: str) -> Any:
        """Imports a public name when it is first used."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
