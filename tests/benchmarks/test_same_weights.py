import re

import numpy as np
import pytest

from benchmarks.same_weights import first_difference


def side(**changes):
    return {"generator/0": np.array([1.0, np.nan], np.float32), "history.csv/100/loss": np.array(0.5), **changes}


def test_equal_bits_are_no_difference():
    assert not first_difference(side(), side())
    assert not first_difference(side(), side(**{"history.csv/100/new figure": np.array(1.0)}))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"generator/0": np.array([1.5, np.nan], np.float32)}, "1 of 2 arrays differ; generator/0: by up to 0.5, of"),
        ({"generator/0": np.array([1.0, np.nan])}, r"generator/0: float32 \(2,\) and float64 \(2,\)"),
        ({"history.csv/100/loss": np.array(-0.5)}, "history.csv/100/loss: by up to 1, of values up to 0.5"),
        ({"generator/1": np.array(0.0)}, "1 arrays are on one side only, such as generator/1"),
    ],
)
def test_a_difference_is_named_and_measured(changes, found):
    assert re.search(found, first_difference(side(), side(**changes)))


def test_the_sign_of_zero_is_a_difference():
    assert first_difference({"a": np.array(0.0)}, {"a": np.array(-0.0)})
