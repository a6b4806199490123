"""The record of class accuracies: how many examples of each set a classifier assigns to their own class."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Self

from pydantic import Field, NonNegativeInt, model_validator

from gan_core.record import Record

_CRITICAL = NormalDist().inv_cdf(0.975)  # of 95 % intervals


class Recognised(Record):
    """Number of examples that a classifier assigns to their own class, among `count`."""

    correct: NonNegativeInt
    count: NonNegativeInt

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if self.correct > self.count:
            raise ValueError("correct must be at most count")
        return self

    @property
    def share(self) -> float:
        """The share from 0 to 1; NaN without examples."""
        return self.correct / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share, which lies within 0 and 1 and is right for few examples too.

        (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n), with n examples, p their share and z = 1.96.

        Reference: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
        """
        if not self.count:
            return 0.0, 1.0
        share, weight = self.share, _CRITICAL**2 / self.count
        reach = math.sqrt(weight * share * (1 - share) + weight**2 / 4)
        low, high = ((share + weight / 2 + sign * reach) / (1 + weight) for sign in (-1, 1))
        return max(low, 0.0), min(high, 1.0)


class ClassAccuracy(Record):
    """How well a classifier, trained on real training examples, recognises the class of other examples.

    Attributes:
        classes: names of the classes in label order.
        real: held-out examples of each class.
        codec: the same examples, encoded and decoded; None if the codec loses nothing.
        generated: generated examples of each requested class, of all sampling seeds together.
    """

    classes: tuple[str, ...]
    real: tuple[Recognised, ...]
    codec: tuple[Recognised, ...] | None = Field(default=None, exclude_if=lambda column: column is None)
    generated: tuple[Recognised, ...]

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if any(len(column) != len(self.classes) for column in self.columns().values()):
            raise ValueError("there must be an entry for each class")
        return self

    def columns(self) -> dict[str, tuple[Recognised, ...]]:
        """Returns the sets of examples by name: `real`, `codec` if there is one, `generated`."""
        columns = {"real": self.real, "codec": self.codec, "generated": self.generated}
        return {name: column for name, column in columns.items() if column is not None}

    def totals(self) -> dict[str, Recognised]:
        """Returns the entry of all classes together for each set of examples."""
        return {
            name: Recognised(correct=sum(one.correct for one in column), count=sum(one.count for one in column))
            for name, column in self.columns().items()
        }

    @property
    def largest_share(self) -> float:
        """The share of the largest class among the real examples: the accuracy of always answering that class."""
        return max(one.count for one in self.real) / self.totals()["real"].count

    def metrics(self) -> dict[str, float]:
        """Returns the shares of all classes together, as `class_accuracy_real`, and the ends of their intervals."""
        found = {}
        for name, total in self.totals().items():
            if total.count:
                found[f"class_accuracy_{name}"] = total.share
                for end, value in zip(("low", "high"), total.interval, strict=True):
                    found[f"intervals.class_accuracy_{name}.{end}"] = value
        return found

    def sentence(self, item: str) -> str:
        """Says the shares of all classes together; `item` is the codec's word for an example."""
        names = {"real": "real", "codec": "real, through the codec", "generated": "generated"}
        parts = [f"{total.share:.1%} of {total.count:,} {names[name]}" for name, total in self.totals().items()]
        return f"class accuracy of {item}s: {'; '.join(parts)}"
