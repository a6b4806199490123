"""Kubeflow's six-field cron expressions."""

from __future__ import annotations

import pytest

from gan_core.errors import InvalidInput
from pipelines.cron import require_cron


@pytest.mark.parametrize(
    "expression",
    [
        *("0 0 3 * * 1", "0 0 3 ? * MON", "30 */20 5 * * *", "0 5/25 6 * * *", "0 0 0 29 feb *", "59 59 23 31 12 6"),
        *("0 0 12 1-3 jan-feb *", "0,30 0-10/5,50 3-3 * * sun,Tue-sat", "0 0 0 1 1 0"),
    ],
)
def test_valid_expressions_are_accepted(expression: str) -> None:
    require_cron(expression)


def test_five_fields_are_refused_with_the_reason_and_the_remedy() -> None:
    with pytest.raises(InvalidInput, match=r"seconds first.*write '0 0 2 \* \* \*'"):
        require_cron("0 2 * * *")


@pytest.mark.parametrize(
    "expression",
    [
        *("", "@weekly", "60 0 0 * * *", "0 0 24 * * *", "0 0 0 0 * *", "0 0 0 * 13 *", "0 0 0 * * 7", "0 0 0 * * 5-1"),
        *("0 */0 * * * *", "0 a * * * *", "0 1-2-3 * * * *", "0 1,, * * * *", "-1 * * * * *", "0 0 0 * * * *"),
    ],
)
def test_invalid_expressions_are_refused(expression: str) -> None:
    with pytest.raises(InvalidInput, match="Received: cron="):
        require_cron(expression)
