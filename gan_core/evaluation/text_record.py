"""The record of the scores of texts: a generator's, a language model's, and those of real texts."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import Field

from gan_core.record import Record

LOWER_IS_BETTER = ("fd_ngram", *(f"jensen_shannon_{length}" for length in range(1, 5)), "reverse_bits")
"""The scores that decide which of two sets of texts is nearer to the real ones."""


class TextColumn(Record):
    """Means of scores over sampling seeds or divisions of real texts, and their standard deviations (0 for one)."""

    means: dict[str, float]
    deviations: dict[str, float]


class TextTable(Record):
    """The scores of three sources of texts, each of as many texts, against the same held-out texts.

    Attributes:
        generated, language_model: samples of the generator and of the model, for each sampling seed.
        real: one half of the held-out texts against the other half, for as many divisions.
        count: number of texts of each set.
        order, discount: of the language model.
        compared: number of training texts, the first ones, with which `edit_distance` compared each text that is no
            copy; None for all.
        left_out: classes without scores in `classes`, because they have too few texts or there are too many classes.
        classes: by name, the LOWER_IS_BETTER scores of the texts of one class and of a language model of that class. A
            class with too few texts is not there.
    """

    generated: TextColumn
    language_model: TextColumn
    real: TextColumn
    count: int
    order: int
    discount: float
    compared: int | None = Field(default=None, exclude_if=lambda count: count is None)
    left_out: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    classes: dict[str, TextTable] = Field(default_factory=dict, exclude_if=lambda tables: not tables)

    def columns(self) -> dict[str, TextColumn]:
        """Returns the columns by name."""
        return {"generated": self.generated, "language_model": self.language_model, "real": self.real}

    def class_rows(self) -> Iterator[tuple[str, str, float, float, float]]:
        """Yields class, score, and the mean of each column."""
        for name, table in self.classes.items():
            for score in LOWER_IS_BETTER:
                generated, language_model, real = (column.means[score] for column in table.columns().values())
                yield name, score, generated, language_model, real

    def leaders(self) -> dict[str, str]:
        """Returns who is ahead in each of LOWER_IS_BETTER: `generated`, `language_model`, or `neither`.

        Neither is if the difference is within twice the deviation of a difference of two samples.
        """
        found = {}
        for name in LOWER_IS_BETTER:
            difference = self.language_model.means[name] - self.generated.means[name]
            deviation = math.hypot(self.language_model.deviations[name], self.generated.deviations[name])
            ahead = "generated" if difference > 0 else "language_model"
            found[name] = ahead if abs(difference) > 2 * deviation else "neither"
        return found

    def sentence(self) -> str:
        """Says who is ahead in which scores."""
        leaders = self.leaders()
        names = {"generated": "the generator", "language_model": "the language model", "neither": "neither"}
        parts = [
            f"{names[leader]} is ahead in {', '.join(name for name in leaders if leaders[name] == leader)}"
            for leader in names
            if leader in leaders.values()
        ]
        return f"Of a generator and a language model of the same texts (order {self.order}), {'; '.join(parts)}."
