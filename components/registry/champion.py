"""Finds the champion to compare an evaluated generator with, or the reason why there is none."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.cli.parameters import read_section
from components.tracking.address import registry_uri, tracking_uri
from components.tracking.failures import answered, explain
from components.tracking.model_name import AUTO, model_of, name_in_address
from components.tracking.server import connect
from gan_core.config import RegisterConfig
from gan_core.data.folders import is_marked
from gan_core.errors import InvalidInput
from gan_core.evaluation.champion import Champion
from gan_core.evaluation.record_checks import parse_registered
from gan_core.export import generator_digest, read_metadata
from gan_core.output_files import METADATA_FILE, METADATA_KEYS


def registry_name(argument: str, generated: Path) -> str | None:
    """Returns the registered model whose champion `--champion` names; None if it names a generator's folder.

    The name comes from the address models:/NAME@champion or from a register section.

    Args:
        argument: the value of `--champion`.
        generated: the evaluated generator or images.

    Raises:
        InvalidInput: the argument is not a generator's folder, an address or a register section; or the section names
            the model `auto` and `generated` is not a generator.
    """
    if name := name_in_address(argument):
        return name
    if not argument.lstrip().startswith("{") and _is_generator(Path(argument)):
        return None
    try:
        configured = read_section(argument, RegisterConfig).model_name
    except InvalidInput as error:
        raise InvalidInput(
            "--champion must be a generator's folder, models:/NAME@champion, or a register section that names the "
            f"model: {error}"
        ) from None
    if configured != AUTO:
        return configured
    if not _is_generator(generated):
        raise InvalidInput(
            "The parameter 'register.model_name' must name the model if --generated is not a generator, because only "
            f"a generator records its data. Received: model_name={configured!r}, {generated}"
        )
    return model_of(configured, read_metadata(generated))


@contextlib.contextmanager
def find_champion(argument: str, generated: Path) -> Iterator[Champion | str]:
    """Yields the champion, with its generator in a temporary folder, or the reason why no comparison is possible.

    Args:
        argument: the value of `--champion`.
        generated: the evaluated generator, which may be the champion itself, or images.
    """
    name = registry_name(argument, generated)
    if name is None:
        yield Champion(argument, Path(argument), None)
        return
    # MLflow's threads may still write there after a download has failed.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            champion = _compared_champion(name, generated, Path(folder))
        except Exception as error:  # no server failure may stop the evaluation
            champion = (
                f"The champion of the model '{name}' is not compared, because it could not be loaded: {explain(error)}"
            )
        yield champion


@contextlib.contextmanager
def champion_folder(address: str) -> Iterator[Path]:
    """Yields the folder of a registered model's champion, which exists while the body runs.

    Args:
        address: `models:/NAME@champion`.

    Raises:
        InvalidInput: the address has another form, or there is no such champion.
        TryAgain: the registry does not answer.
    """
    if not (name := name_in_address(address)):
        raise InvalidInput(f"The address of a champion must be models:/NAME@champion. Received: {address}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with answered("load the champion"):
            if (version := _champion(connect(), name)) is None:
                raise InvalidInput(f"The model must have a champion in the registry. Received: {address}")
            generator = download_generator(version, Path(folder))
        yield generator


def _compared_champion(name: str, generated: Path, folder: Path) -> Champion | str:
    if (version := _champion(connect(), name)) is None:
        return f"The model '{name}' has no champion yet."
    if _is_generator(generated) and version.tags.get("generator_digest") == generator_digest(generated):
        return f"This generator is the champion, version {version.version} of the model '{name}'."
    return Champion(
        f"version {version.version} of {name}",
        download_generator(version, folder),
        parse_registered(version.tags.get("evaluation", "")),
    )


def _champion(client: Any, name: str) -> Any | None:
    """Returns the version of the model `name` that is its champion; None if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, "champion")
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def download_generator(version: Any, folder: Path) -> Path:
    """Downloads a registered version's model into `folder`; returns the folder of its generator.

    Raises:
        InvalidInput: the model names a generator outside its own folder.
    """
    import mlflow.artifacts
    from mlflow.models import Model

    source = mlflow.artifacts.download_artifacts(
        version.source, dst_path=str(folder), tracking_uri=tracking_uri(), registry_uri=registry_uri()
    )
    generator_path: str = Model.load(source).flavors["python_function"]["artifacts"]["generator"]["path"]
    generator_folder = Path(str(source), generator_path)
    if not generator_folder.resolve().is_relative_to(Path(source).resolve()):
        raise InvalidInput(f"The version's generator must lie in the model's folder. Received: {generator_path}")
    return generator_folder


def _is_generator(folder: Path) -> bool:
    return is_marked(folder, METADATA_FILE, METADATA_KEYS)
