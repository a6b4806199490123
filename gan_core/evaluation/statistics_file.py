"""Statistics of real images, `mu` and `sigma`, in an `.npz` file, the format of pytorch-fid and clean-fid.

Files of this project also contain the number of images, the extractor's digest and the resize mode.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import InvalidInput
from gan_core.evaluation.extractors.features import Extractor, FeatureSet
from gan_core.evaluation.extractors.resize import ResizeMode

LARGEST_FILE_BYTES = 2**29
COUNT_UNKNOWN = 0


def write_statistics(path: Path, images: FeatureSet, extractor: Extractor) -> None:
    """Writes the statistics file."""
    with path.open("wb") as stream:
        np.savez(
            stream,
            mu=images.mean,
            sigma=images.covariance,
            count=np.asarray(images.count),
            extractor=np.asarray(extractor.digest),
            resize=np.asarray(extractor.resize),
        )


def read_statistics(path: Path, extractor: Extractor) -> FeatureSet:
    """Reads a statistics file of the extractor's features; the count is COUNT_UNKNOWN if the file does not contain it.

    Raises:
        InvalidInput: it is not such a file, or was made with another extractor or resize mode.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_FILE_BYTES:
            raise InvalidInput(
                f"A statistics file must have at most {LARGEST_FILE_BYTES} bytes. Received: {path} with {size}"
            )
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if any(arrays[name].dtype.kind not in "fiu" for name in ("mu", "sigma")):
            raise ValueError("mu or sigma is not an array of real numbers")
        mean, covariance = np.asarray(arrays["mu"], np.float64), np.asarray(arrays["sigma"], np.float64)
        count = int(arrays.get("count", COUNT_UNKNOWN))
        if count < 0:
            raise ValueError(f"its count is {count}")
    except InvalidInput:
        raise
    # A damaged or hostile file can make the readers of zip archives and arrays raise nearly anything.
    except Exception as error:
        raise InvalidInput(
            "A statistics file must be an .npz file with the arrays mu and sigma, as pytorch-fid writes it: "
            f"{' '.join(str(error).split())[:200]}. Received: {path}"
        ) from None
    if mean.shape != (extractor.size,) or covariance.shape != (extractor.size, extractor.size):
        raise InvalidInput(
            f"The statistics must have the sizes of the extractor {extractor.name}, mu [{extractor.size}] and sigma "
            f"[{extractor.size}, {extractor.size}]. Received: {path} with mu {mean.shape} and sigma {covariance.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all() and np.allclose(covariance, covariance.T)):
        raise InvalidInput(f"mu and sigma must be finite, and sigma symmetric. Received: {path}")
    if not _is_covariance(covariance):
        # With negative eigenvalues, the trace can lower the Fréchet distance to any value.
        raise InvalidInput(f"sigma must be a covariance matrix, without negative eigenvalues. Received: {path}")
    _check_origin(path, extractor, {name: str(arrays.get(name, "")) for name in ("extractor", "resize")})
    return FeatureSet(count, mean, covariance, np.empty((0, extractor.size), np.float32))


def _is_covariance(matrix: NDArray[np.float64]) -> bool:
    """Whether a finite, symmetric matrix has no negative eigenvalue, apart from the rounding of float32."""
    largest = np.abs(matrix).max()
    return not largest or float(np.linalg.eigvalsh(matrix / largest)[0]) > -1e-3


def _check_origin(path: Path, extractor: Extractor, stored: dict[str, str]) -> None:
    if stored["extractor"] not in ("", extractor.digest):
        raise InvalidInput(
            f"The statistics must come from the extractor {extractor.name}, {extractor.digest}. "
            f"Received: {path} from {stored['extractor']}"
        )
    resize = stored["resize"] or _resize_in_name(path)
    if resize not in ("", extractor.resize):
        raise InvalidInput(
            f"Real and generated images must be resized in the same way: set evaluate.resize to the file's mode. "
            f"Received: evaluate.resize={extractor.resize!r}, {path} with {resize!r}"
        )


def _resize_in_name(path: Path) -> str:
    """Returns the mode in a file name like clean-fid's `cifar10_clean_train_32.npz`; empty if there is none."""
    match = re.search(rf"_({'|'.join(get_args(ResizeMode))})_", path.name)
    return match[1] if match else ""
