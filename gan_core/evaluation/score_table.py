"""Formats the scores for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from gan_core.evaluation.champion import Comparison
from gan_core.evaluation.protocol import Evaluation
from gan_core.evaluation.score_meanings import decimals, shown


def table(evaluation: Evaluation, comparison: Comparison | None, item: str) -> str:
    """Returns one line per score with its uncertainty and the champion's score, then warnings and notes.

    `item` is the codec's word for an example.
    """
    protocol = evaluation.protocol
    champion = comparison.evaluation if comparison else None
    rows = [("", "value", "sampling seeds", "95 % interval", comparison.name if comparison and champion else "")]
    for name, value in evaluation.scores.items():
        spread, interval = evaluation.spread[name], evaluation.intervals.get(name)
        digits = decimals(value, spread or evaluation.standard_errors.get(name))
        theirs = champion.scores.get(name) if champion else None
        rows.append(
            (
                name,
                shown(value, digits),
                f"± {spread:.{digits}f}" if spread else "",
                f"{shown(interval.low, digits)} to {shown(interval.high, digits)}" if interval else "",
                "" if theirs is None else shown(theirs, digits),
            )
        )
    lines = aligned(rows)
    seeds = f" for each of {len(protocol.sampling_seeds)} sampling seeds" if protocol.sampling_seeds else ""
    real = f"{protocol.reference_count:,} " if protocol.reference_count else ""
    lines.append(f"{protocol.samples:,} generated {item}s{seeds} and {real}real {item}s ({protocol.reference})")
    if evaluation.class_accuracy:
        lines.append(evaluation.class_accuracy.sentence(item))
    elif evaluation.extractor_accuracy is not None:
        lines.append(f"accuracy of the {protocol.extractor}: {evaluation.extractor_accuracy:.1%} of held-out {item}s")
    if evaluation.texts:
        lines.append(evaluation.texts.sentence())
    remarks = comparison.remarks if comparison else ()
    lines += [f"warning: {sentence}" for sentence in evaluation.warnings]
    return "\n".join([*lines, *(f"note: {sentence}" for sentence in remarks)])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows of a table as lines: the first column is aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells)
        ).rstrip()
        for cells in (zip(row, widths, strict=True) for row in rows)
    ]
