"""The mark in a file that says that a trained generator made it, which generator, and from what seed.

The mark is an XMP packet. IPTC's property DigitalSourceType has the value `trainedAlgorithmicMedia`, and AISystemUsed
and AISystemVersionUsed name the generator and its digest. The seeds are in a namespace of this project.

Reference: IPTC Photo Metadata Standard 2025.1; ISO 16684-1 (XMP); XMP Specification Part 3, Storage in Files.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from gan_core.output_files import XMP_NAMESPACE
from gan_core.printing import printable

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPE = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
COMPOSITE_TYPE = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
_NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "gan": XMP_NAMESPACE,
}
_WAV_CHUNK = b"_PMX"


@dataclass(frozen=True)
class Provenance:
    """What generated a file.

    Attributes:
        model: the name of the generator.
        digest: `sha256-<hex>` of the generator's files.
        seeds: the seed; for a walk, the seeds of its waypoints, separated by commas; for a projection, `projection
            from` and the seed of its starts.
        truncation: see `gan_core.sampling.draw_latents`.
        label: the requested class; empty if none was requested.
        source_type: IPTC's address of the kind of source; COMPOSITE_TYPE if the file also shows an item that was not
            generated.
    """

    model: str
    digest: str
    seeds: str
    truncation: float
    label: str = ""
    source_type: str = SOURCE_TYPE

    def record(self) -> dict[str, str | float]:
        """Returns the mark as the content of a JSON object."""
        return {
            "digital_source_type": self.source_type,
            "model": self.model,
            "digest": self.digest,
            "seed": self.seeds,
            "truncation": self.truncation,
            "label": self.label,
        }

    def xmp(self, number: int | None = None) -> str:
        """Returns the mark as an XMP packet.

        Args:
            number: position of the item in the sequence of the seed; None if the file holds several items.
        """
        properties = {
            "Iptc4xmpExt:DigitalSourceType": self.source_type,
            "Iptc4xmpExt:AISystemUsed": self.model,
            "Iptc4xmpExt:AISystemVersionUsed": self.digest,
            "gan:seed": self.seeds,
            "gan:truncation": f"{self.truncation:g}",
            "gan:label": self.label,
            "gan:number": "" if number is None else str(number),
        }
        # XML has no form for control characters, which a class name may contain.
        written = [f"{name}={quoteattr(printable(value))}" for name, value in properties.items() if value]
        spaces = [f'xmlns:{prefix}="{address}"' for prefix, address in _NAMESPACES.items()]
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {spaces[0]}>\n'
            f'<rdf:Description rdf:about="" {" ".join(spaces[1:])}\n  ' + "\n  ".join(written) + "/>\n"
            '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
        )


def marked_wav(wav: bytes, xmp: str) -> bytes:
    """Returns the content of a WAV file with an XMP packet in the chunk `_PMX`, after the sound."""
    packet = xmp.encode()
    packet += b" " * (len(packet) % 2)  # chunks begin at even positions
    chunks = wav[8:] + _WAV_CHUNK + len(packet).to_bytes(4, "little") + packet
    return wav[:4] + len(chunks).to_bytes(4, "little") + chunks
