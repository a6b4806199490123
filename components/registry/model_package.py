"""Packages the generator as an MLflow model, with code as files, without pickles, and with pinned requirements."""

from __future__ import annotations

import shutil
import tempfile
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import gan_core
from gan_core.codecs import codec_of
from gan_core.generator import GeneratorMetadata
from gan_core.output_files import METADATA_FILE, MODEL_FILE


def save_served_model(target: Path, model: Path, generator: GeneratorMetadata, description: Any = None) -> None:
    """Writes the generator in the folder `model` as a pyfunc model into the new folder `target`.

    Args:
        target: the MLflow model's folder.
        model: the generator's folder.
        generator: the generator's metadata.
        description: an mlflow.models.Model that says where the model is logged.
    """
    import mlflow.pyfunc
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature

    example: dict[str, Any] = {"count": 4, "seed": 0, "truncation": 1.0}
    if generator.classes:
        example["label"] = generator.classes[0]
    if generator.paired:
        example = {"input": np.full(generator.shape, 128).tolist(), "seed": 0}
    answer = codec_of(generator).answer(np.zeros((1, *generator.shape), np.uint8))
    signature = infer_signature(model_output=answer)  # served_generator.py says why there are no inputs
    with tempfile.TemporaryDirectory() as folder:
        # Copies only the two files, because MLflow would follow a link in the folder and upload its target.
        package = Path(folder) / "generator"
        package.mkdir()
        for name in (METADATA_FILE, MODEL_FILE):
            shutil.copyfile(model / name, package / name)
        mlflow.pyfunc.save_model(
            target,
            mlflow_model=description,
            python_model=str(Path(__file__).with_name("served_generator.py")),
            artifacts={"generator": str(package)},
            code_paths=[gan_core.__path__[0]],
            signature=signature,
            input_example=pd.DataFrame([example]),
            pip_requirements=_requirements(),
        )


def served_versions() -> dict[str, str]:
    """Versions of the packages that a served generator needs."""
    try:
        tensorflow = packages.version("tensorflow")
    except packages.PackageNotFoundError:  # the CPU build is another distribution with the same version
        tensorflow = packages.version("tensorflow-cpu")
    versions = {name: packages.version(name) for name in ("keras", "numpy", "pandas", "pillow", "pydantic")}
    # The image has MLflow without its server, which is a separate distribution with the same version.
    return {"tensorflow": tensorflow, **versions, "mlflow": packages.version("mlflow-skinny")}


def _requirements() -> list[str]:
    versions = served_versions()
    tensorflow = versions.pop("tensorflow")
    return [
        # The CPU build exists only for Linux on x86_64; elsewhere the full package is the CPU build.
        f"tensorflow-cpu=={tensorflow}; sys_platform == 'linux' and platform_machine == 'x86_64'",
        f"tensorflow=={tensorflow}; sys_platform != 'linux' or platform_machine != 'x86_64'",
        *(f"{name}=={version}" for name, version in versions.items()),
    ]
