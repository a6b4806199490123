"""Shared by all commands of the pipeline: reading parameters, TensorFlow's settings, exit codes.

| exit code | meaning | examples |
|---|---|---|
| 0 | done | |
| 1 | a bug in this project, with a traceback; or a training that diverged | |
| 2 | the user's mistake: repeating the command cannot help | a wrong parameter, path or file |
| 75 | an external failure: the same command may succeed later | a full disk, a server that does not answer |
| 130 | Ctrl-C | |

`gan_core.errors.failure_of` classifies the operating system's errors.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gan_core.errors import InvalidInput, TryAgain, failure_of
from gan_core.printing import fail, guard_output
from gan_core.yaml_limits import read_modest

if TYPE_CHECKING:
    from gan_core.config import Section

SectionType = TypeVar("SectionType", bound="Section")
_logger = logging.getLogger(__name__)


def read_section(argument: str, name: str, section: type[SectionType]) -> SectionType:
    """Reads one section of the parameters.

    Args:
        argument: the value of `--config`: the path or gs:// address of a params.yaml file that has the section `name`,
            or that section itself as a JSON object, as Kubeflow passes it.
        name: the section's name, which is also the stage's.
        section: the section's type.

    Raises:
        InvalidInput: the file, the JSON or a value is wrong.
    """
    if argument.lstrip().startswith("{"):
        try:
            values = json.loads(argument)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(
                f"--config must be a YAML file or a JSON object: {error}. Received: {argument[:500]}"
            ) from None
    else:
        from components.storage.paths import input_path, local_paths

        with local_paths(argparse.Namespace(config=input_path(argument))) as local:
            values = _section_of_file(local.config, name)
    try:
        return section.parse(values)
    except InvalidInput as error:
        raise InvalidInput(
            "\n".join(line.replace("parameter '", f"parameter '{name}.", 1) for line in str(error).splitlines())
        ) from None


def _section_of_file(path: Path, name: str) -> object:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # YAML 1.2, without duplicate keys, as DVC reads it.
        document = YAML(typ="safe", pure=True).load(read_modest(path))
    except (OSError, ValueError, RecursionError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"--config must be a readable YAML file: {reason}. Received: {path}") from None
    if not isinstance(document, dict) or not isinstance(document.get(name), dict):
        raise InvalidInput(f"--config must have a section '{name}' of parameters. Received: {path}")
    return document[name]


def cache_folder() -> Path:
    """The user's cache folder, for results that need not be computed twice."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan-pipeline"


def configure_tensorflow() -> None:
    """Sets the environment variables that TensorFlow reads when it is imported, imports it and configures it.

    oneDNN's kernels are 1.5 times faster; TensorFlow leaves them off on processors without AVX-512. Kernels are
    deterministic. The graph optimiser's remapper is off: it fails on a discriminator that is called twice, reports that
    on stderr, and its fused operations are not faster here.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _held_back_stderr():
        import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"remapping": False})
    _logger.info("TensorFlow %s with TF_ENABLE_ONEDNN_OPTS=%s", tf.__version__, os.environ["TF_ENABLE_ONEDNN_OPTS"])


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Hides what native code writes to stderr, unless the body fails.

    TensorFlow's import prints a notice about oneDNN before it reads TF_CPP_MIN_LOG_LEVEL.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def run(main: Callable[[], None]) -> None:
    """Runs a command's main function; after a failure, prints a sentence on stderr and exits with the code for it."""
    guard_output()
    try:
        main()
    except InvalidInput as error:
        fail(2, error)
    except TryAgain as error:
        fail(75, error)
    except KeyboardInterrupt:
        fail(130, "Interrupted.")
    except OSError as error:
        failure = failure_of(error)
        if failure is None:
            raise
        fail(2 if isinstance(failure, InvalidInput) else 75, failure)
