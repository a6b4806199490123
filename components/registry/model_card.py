"""The model card of a registered version, `model_card.md`: what it draws, from which data, how well, and its limits.

The sections follow Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv 1810.03993.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gan_core.codecs import codec_of
from gan_core.evaluation.score_meanings import MEANINGS, decimals, shown

if TYPE_CHECKING:
    from gan_core.config import RegisterConfig
    from gan_core.evaluation.protocol import Evaluation
    from gan_core.generator import GeneratorMetadata

FILE = "model_card.md"
UNKNOWN = "unknown"
_LICENCES = {
    "embedded": "MIT (Fashion-MNIST, © 2017 Zalando SE)",
    "fashion-mnist": "MIT (Fashion-MNIST, © 2017 Zalando SE)",
    "digits": "CC BY 4.0 (Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998)",
    "speech": "CC BY 3.0 (gcin-voice, voice of Chu Lo, ChionMeilin)",
    "names": "public domain (census of the United States of 1990), from the package names, MIT",
}
_CLASSES_LISTED = 50
_TRAINING = ("network", "loss", "reconstruction", "steps", "batch_size", "warm_start")


def licence(config: RegisterConfig, source: str) -> str:
    """Returns the licence of the data: `register.data_licence`, or that of a built-in source if it is `auto`."""
    return _LICENCES.get(source, UNKNOWN) if config.data_licence == "auto" else config.data_licence


def model_card(
    config: RegisterConfig, generator: GeneratorMetadata, evaluation: Evaluation, provenance: Mapping[str, object]
) -> str:
    """Returns the card as Markdown. It depends on its arguments alone, so a repeated registration gives the same card.

    Args:
        config: the section `register`, with the name, the data's licence and the intended use.
        generator: the generator's description.
        evaluation: its evaluation.
        provenance: the revision and the versions, as in the version's tag `provenance`.
    """
    item = codec_of(generator).item
    conditional = " of a requested class" if generator.classes else ", each made from an input image,"
    sections = {
        "Intended use": [_text(config.intended_use)],
        "Data": [
            f"- Source: {_code(generator.dataset_source)}",
            f"- Version: `{generator.dataset_digest}`",
            f"- Licence: {_text(licence(config, generator.dataset_source))}",
            *_classes(generator),
        ],
        "Training": [
            f"- {generator.images_seen:,} {item}s seen, counting repetitions",
            *(f"- train.{name}: {_code(value)}" for name, value in generator.parameters.items() if name in _TRAINING),
            f"- MLflow run: `{evaluation.tracking_run_id or 'none'}`",
            f"- git revision: {_code(provenance['git_revision'])}",
        ],
        "Scores": list(_scores(evaluation, item)),
        "Limits": [f"- {_text(sentence)}" for sentence in _limits(generator, evaluation, item)],
    }
    shape = " × ".join(map(str, generator.shape))
    kind = conditional if generator.classes or generator.paired else ""
    head = [f"# {config.model_name}", "", f"A GAN's generator. It draws {item}s{kind} as arrays of {shape}."]
    parts = [line for title, lines in sections.items() for line in ("", f"## {title}", "", *lines)]
    return "\n".join([*head, *parts, ""])


def _classes(generator: GeneratorMetadata) -> Iterator[str]:
    if names := generator.classes:
        pairs = zip(names[:_CLASSES_LISTED], generator.class_shares, strict=False)
        more = ", …" if len(names) > _CLASSES_LISTED else ""
        listed = ", ".join(f"{_code(name)} {share:.1%}" for name, share in pairs)
        yield f"- {len(names)} classes, with the share of each when none is requested: {listed}{more}"


def _scores(evaluation: Evaluation, item: str) -> Iterator[str]:
    protocol = evaluation.protocol
    real = f"{protocol.reference_count:,} " if protocol.reference_count else ""
    yield (
        f"{protocol.samples:,} generated {item}s for each of {len(protocol.sampling_seeds)} seeds, compared with {real}"
        f"real {item}s ({protocol.reference}) by the extractor `{protocol.extractor}`."
    )
    yield ""
    yield "| score | value | ± over seeds | 95 % interval | better |"
    yield "|---|---|---|---|---|"
    for name, value in evaluation.scores.items():
        spread, interval = evaluation.spread[name], evaluation.intervals.get(name)
        digits = decimals(value, spread or evaluation.standard_errors.get(name))
        within = f"{shown(interval.low, digits)} to {shown(interval.high, digits)}" if interval else ""
        yield f"| {name} | {shown(value, digits)} | {shown(spread, digits)} | {within} | {_better(name)} |"
    if evaluation.class_accuracy:
        yield ""
        yield _text(evaluation.class_accuracy.sentence(item))


def _better(name: str) -> str:
    """Which values of a score are good; `fid` and `fad` are Fréchet distances."""
    stem = name.replace("fid", "fd").replace("fad", "fd")
    found = [metric for metric in MEANINGS if stem == metric or stem.startswith(f"{metric}_")]
    return MEANINGS[max(found, key=len)].better if found else ""


def _limits(generator: GeneratorMetadata, evaluation: Evaluation, item: str) -> Iterator[str]:
    yield (
        f"It draws {item}s like those of its training data, with their gaps and biases. Nobody has examined what is "
        "missing or over-represented in the data beyond the scores above."
    )
    yield f"A generated {item} can resemble a training {item} closely; the scores of memorisation say how often."
    yield "Scores can be compared only with scores under the same protocol, which is in the version's tag `evaluation`."
    if generator.collapsed:
        yield "Its training had collapsed: nearly all of its samples are the same."
    yield from evaluation.warnings


def _text(value: object) -> str:
    """Returns the text of a user or of data in one line, without headings, links, tables and HTML."""
    return re.sub(r"[\\*\[\]|#]", r"\\\g<0>", " ".join(str(value).split())).replace("<", "&lt;")


def _code(value: object) -> str:
    return f"`{' '.join(str(value).replace('`', chr(0x2019)).splitlines())}`"
