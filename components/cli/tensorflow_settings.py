"""TensorFlow's settings, which are the same for all commands."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator

_logger = logging.getLogger(__name__)
_UNUSED = ("matplotlib", "sklearn")  # Keras imports them for its plots and wrappers: a quarter of the time to import it


def configure_tensorflow() -> None:
    """Sets the environment variables that TensorFlow reads when it is imported, imports it and configures it.

    oneDNN's kernels are on, because they are 1.5 times faster; TensorFlow leaves them off on processors without
    AVX-512. All kernels are deterministic. The graph optimiser's remapper is off, because it fails on a discriminator
    that is called twice, reports this on stderr, and its fused operations are not faster here.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _held_back_stderr(), _hidden(_UNUSED):
        import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.WARNING)  # several hosts would report each of their sums
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"remapping": False})
    _logger.info("TensorFlow %s with TF_ENABLE_ONEDNN_OPTS=%s", tf.__version__, os.environ["TF_ENABLE_ONEDNN_OPTS"])


@contextlib.contextmanager
def _hidden(packages: Iterable[str]) -> Iterator[None]:
    """Makes the packages that are not imported yet look as if they were not installed."""
    hidden = dict.fromkeys(name for name in packages if name not in sys.modules)
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None makes an import fail
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Holds back what native code writes to stderr, and shows it only if the body fails.

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
