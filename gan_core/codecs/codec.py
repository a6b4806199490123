"""What a codec does: it turns decoded items into stored arrays, and arrays into what a person sees, hears or reads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gan_core.codecs.grid import image_grid
from gan_core.errors import InvalidInput
from gan_core.record import Record

Side = Annotated[int, Field(ge=1, le=2**16)]


class Codec(Record):
    """The codec of a data set. It is part of the manifest, and travels with every generator that the data trains.

    Attributes:
        modality: the name of the modality, by which a reader finds this class in `gan_core.codecs.CODECS`.
        shape: height, width, channels of a stored array, uint8.
        item: what messages and reports call an item; an s is added for several.
        lossy: whether decoding loses a part of an item, so that scores need the codec floor beside them.
        augmentations: values of `train.augment` after which an item could still be a real one.
        extractors: values of `evaluate.extractor` whose features mean something for the items. The second one is
            neither trained nor downloaded.
    """

    modality: str
    shape: tuple[Side, Side, Side]
    item: ClassVar[str] = "example"
    lossy: ClassVar[bool] = False
    augmentations: ClassVar[frozenset[str]] = frozenset({"color", "translation", "cutout"})
    extractors: ClassVar[tuple[str, ...]] = ("classifier", "random", "inception", "dinov2")

    @property
    def symbols(self) -> int:
        """Number of different codes in the arrays; 0 if they hold levels. See `gan_core.representation`."""
        return 0

    @abstractmethod
    def encode(self, decoded: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns the stored array, uint8 [H, W, C], of an item that the modality decoded."""

    def picture(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draws one stored array [H, W, C] as a picture, uint8 [H', W', 1 or 3]; by default the array itself."""
        return array

    def require_comparable(self, by: Codec) -> None:
        """Checks that `perceived` can compare items of this codec with those of the codec `by`.

        Raises:
            InvalidInput: it cannot.
        """
        if by.modality != self.modality:
            raise InvalidInput(
                f"Items that are compared must be of the same modality. Received: {by.modality} and {self.modality}"
            )

    def perceived(self, arrays: NDArray[np.uint8], by: Codec) -> NDArray[np.uint8]:
        """Returns what another codec stores of the items, as a person perceives them.

        Args:
            arrays: arrays of this codec, for example generated ones, uint8 [B, H, W, C].
            by: the codec of the items that they are compared with.

        Raises:
            InvalidInput: the items of the two codecs cannot be compared.
        """
        self.require_comparable(by)
        return arrays

    def sounds(self, arrays: NDArray[np.uint8]) -> list[bytes]:
        """Returns the content of a WAV file of each array, uint8 [B, H, W, C]; nothing if the items are not sound."""
        del arrays
        return []

    def texts(self, arrays: NDArray[np.uint8]) -> list[str]:
        """Returns the text of each array, uint8 [B, H, W, C]; nothing if the items are not texts."""
        del arrays
        return []

    def pictures(self, arrays: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draws arrays, uint8 [N, H, W, C], as the pictures of one grid, uint8 [N, H', W', 1 or 3]."""
        return np.stack([self.picture(array) for array in arrays])

    def grid(
        self,
        arrays: NDArray[np.uint8],
        columns: int,
        names: Sequence[str] = (),
        filled: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.uint8]:
        """Draws the arrays, uint8 [N, H, W, C], in rows of `columns`, as `image_grid` does."""
        return image_grid(self.pictures(arrays), columns, names=names, filled=filled)

    def answer(self, arrays: NDArray[np.uint8]) -> Any:
        """Returns what a served generator answers for the arrays, uint8 [B, H, W, C]; by default the arrays."""
        return arrays
