"""What a codec does: it turns decoded items into stored arrays, and arrays into what a person sees, hears or reads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gan_core.record import Record

Side = Annotated[int, Field(ge=1, le=2**16)]


class Codec(Record):
    """The codec of a data set. It is part of the manifest, and travels with every generator that the data trains.

    Attributes:
        modality: the name of the modality, by which a reader finds this class in `gan_core.codecs.CODECS`.
        shape: height, width, channels of a stored array, uint8.
    """

    modality: str
    shape: tuple[Side, Side, Side]

    @abstractmethod
    def encode(self, decoded: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns the stored array, uint8 [H, W, C], of an item that the modality decoded."""

    @abstractmethod
    def grid(self, arrays: NDArray[np.uint8], columns: int, names: Sequence[str] = ()) -> NDArray[np.uint8]:
        """Draws the arrays, uint8 [N, H, W, C], in rows of `columns`; `names` names the rows.

        Returns:
            A picture, uint8 [H', W', 1 or 3].
        """
