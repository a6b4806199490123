"""The library: data, networks, training and evaluation, without orchestration, tracking or cloud services.

The names below are the public ones. Each is imported when it is first used, so `import gan_core` loads no TensorFlow.
The examples in their docstrings continue where the script in docs/library.md ends; the tests run them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # where type checkers and editors find the names; _MODULES holds the same for Python
    from gan_core.codecs.grid import image_grid, write_png
    from gan_core.config import EvaluateConfig, RegisterConfig, TrainConfig
    from gan_core.data.parameters import PrepareConfig
    from gan_core.data.prepare import prepare
    from gan_core.data.prepared import PreparedDataset
    from gan_core.errors import InvalidInput, TryAgain
    from gan_core.evaluation.evaluator import evaluate
    from gan_core.evaluation.extractors.build import build_extractor
    from gan_core.evaluation.feature_extraction import extract_features
    from gan_core.evaluation.protocol import Evaluation
    from gan_core.evaluation.real_and_generated import open_sides
    from gan_core.evaluation.report.contents import collect_contents
    from gan_core.evaluation.report.page import render_report
    from gan_core.export import load_generator, save_generator
    from gan_core.generator import Generator
    from gan_core.modalities.choice import open_source
    from gan_core.recipes import recipe_for, with_recipe
    from gan_core.sampling import draw_latents
    from gan_core.training.batches import RealBatches, TrainingImages
    from gan_core.training.checkpoints import Checkpoints
    from gan_core.training.describe import describe_generator
    from gan_core.training.guards import Diverged
    from gan_core.training.hooks import Hooks, NoHooks
    from gan_core.training.loop import Training
    from gan_core.training.state import Gan
    from gan_core.training.step import TrainStep

__all__ = [
    "Checkpoints",
    "Diverged",
    "EvaluateConfig",
    "Evaluation",
    "Gan",
    "Generator",
    "Hooks",
    "InvalidInput",
    "NoHooks",
    "PrepareConfig",
    "PreparedDataset",
    "RealBatches",
    "RegisterConfig",
    "TrainConfig",
    "TrainStep",
    "Training",
    "TrainingImages",
    "TryAgain",
    "build_extractor",
    "collect_contents",
    "describe_generator",
    "draw_latents",
    "evaluate",
    "extract_features",
    "image_grid",
    "load_generator",
    "open_sides",
    "open_source",
    "prepare",
    "recipe_for",
    "render_report",
    "save_generator",
    "with_recipe",
    "write_png",
]

_MODULES = {
    "codecs.grid": ("image_grid", "write_png"),
    "config": ("EvaluateConfig", "RegisterConfig", "TrainConfig"),
    "data.parameters": ("PrepareConfig",),
    "data.prepare": ("prepare",),
    "data.prepared": ("PreparedDataset",),
    "errors": ("InvalidInput", "TryAgain"),
    "evaluation.evaluator": ("evaluate",),
    "evaluation.extractors.build": ("build_extractor",),
    "evaluation.feature_extraction": ("extract_features",),
    "evaluation.protocol": ("Evaluation",),
    "evaluation.real_and_generated": ("open_sides",),
    "evaluation.report.contents": ("collect_contents",),
    "evaluation.report.page": ("render_report",),
    "export": ("load_generator", "save_generator"),
    "generator": ("Generator",),
    "modalities.choice": ("open_source",),
    "recipes": ("recipe_for", "with_recipe"),
    "sampling": ("draw_latents",),
    "training.batches": ("RealBatches", "TrainingImages"),
    "training.checkpoints": ("Checkpoints",),
    "training.describe": ("describe_generator",),
    "training.guards": ("Diverged",),
    "training.hooks": ("Hooks", "NoHooks"),
    "training.loop": ("Training",),
    "training.state": ("Gan",),
    "training.step": ("TrainStep",),
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
