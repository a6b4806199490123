"""What every command of the pipeline shares: reading its parameters, TensorFlow's settings, exit codes.

| exit code | who | examples |
|---|---|---|
| 0 | done | |
| 1 | a fault of this project, with a traceback; or a training that diverged | |
| 2 | the user's mistake: repeating the command cannot help | a wrong parameter, path or file |
| 75 | the outside world failed: the same command may succeed later | a full disk, a server that does not answer |
| 130 | Ctrl-C | |

`gan_core.errors.failure_of` sorts the operating system's errors.
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

from gan_core.documents import read_modest
from gan_core.errors import InvalidInput, TryAgain, failure_of
from gan_core.printing import fail, guard_output

if TYPE_CHECKING:
    from gan_core.config import Section

SectionType = TypeVar("SectionType", bound="Section")
_logger = logging.getLogger(__name__)


def read_section(argument: str, name: str, section: type[SectionType]) -> SectionType:
    """Reads one section of the parameters.

    Args:
        argument: the value of `--config`: a params.yaml file, also on gs://, whose section `name` is read, or that
            section itself as a JSON object (how Kubeflow passes it).
        name: the section's name, which is the stage's.
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
        # As DVC reads it: YAML 1.2, in which no key may stand twice.
        document = YAML(typ="safe", pure=True).load(read_modest(path))
    except (OSError, ValueError, RecursionError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"--config must be a readable YAML file: {reason}. Received: {path}") from None
    if not isinstance(document, dict) or not isinstance(document.get(name), dict):
        raise InvalidInput(f"--config must have a section '{name}' of parameters. Received: {path}")
    return document[name]


def cache_folder() -> Path:
    """Where a person's commands keep what need not be computed twice."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan-pipeline"


def configure_tensorflow() -> None:
    """Imports TensorFlow, with what it reads from the environment at that moment set.

    oneDNN's kernels, which TensorFlow leaves off on processors without AVX-512, are 1.5 times faster. Kernels are
    deterministic. The graph optimiser's remapper is off: it fails on a discriminator that is called twice, says so on
    stderr, and what it would fuse is not faster here.
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
    """Keeps what native code writes to stderr from the user, unless the body fails.

    TensorFlow's import tells of oneDNN before it looks at TF_CPP_MIN_LOG_LEVEL.
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
    """Runs a command's main function and ends the process with its exit code, a sentence on stderr if it failed."""
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
