"""The extractors that need neither data nor weights."""

from __future__ import annotations

from gan_core.evaluation.extractors.features import Extractor


def untrained_extractor(name: str) -> Extractor:
    """Returns the extractor `random` or `ngram`, which needs neither data nor weights."""
    if name == "ngram":
        from gan_core.evaluation.extractors.ngram import NgramExtractor

        return NgramExtractor()
    from gan_core.evaluation.extractors.random_network import RandomExtractor

    return RandomExtractor()
