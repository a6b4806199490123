"""Finds texts that networks of other texts cannot write: those with unknown symbols, and those that are too long."""

from __future__ import annotations

from gan_core.codecs import codec_of
from gan_core.codecs.text import TextCodec
from gan_core.data.prepared import PreparedDataset
from gan_core.printing import character_name
from gan_core.record import Record

_BATCH = 4096


class Unwritable(Record):
    """The texts of new data that a generator of the reference cannot write.

    Attributes:
        symbols: the symbols of these data that the reference does not have, in the order of their code points.
        longest: the largest number of symbols in a text of the reference.
        texts: number of texts that have one of the symbols or are longer.
        share: their share of all texts of the data.
    """

    symbols: str
    longest: int
    texts: int
    share: float

    def sentence(self) -> str:
        """Says how many texts there are, and what they have."""
        shown = " ".join(one if one.isprintable() and one != " " else character_name(one) for one in self.symbols)
        symbols = f"symbols that the reference does not have ({shown})" if shown else ""
        has = f"{symbols} or more than {self.longest} symbols" if symbols else f"more than {self.longest} symbols"
        return f"{self.texts} texts ({self.share:.1%}) have {has}"


def find_unwritable(reference: PreparedDataset, data: PreparedDataset) -> Unwritable | None:
    """Compares each text with what the reference's codec stores of it; None if all are the same, or are no texts."""
    known, codec = codec_of(reference.manifest), codec_of(data.manifest)
    if not (isinstance(known, TextCodec) and isinstance(codec, TextCodec)):
        return None
    count = total = 0
    for split in (data.split("train"), data.split("held_out")):
        for batch in split.batches(_BATCH):
            stored = known.texts(codec.perceived(batch, by=known))
            count += sum(text != other for text, other in zip(codec.texts(batch), stored, strict=True))
        total += split.count
    symbols = "".join(symbol for symbol in codec.alphabet if symbol not in known.alphabet)
    return Unwritable(symbols=symbols, longest=known.shape[0], texts=count, share=count / total) if count else None
