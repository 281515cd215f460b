"""States as plain data and back: every bit, type and refusal."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dadapt_cli.algorithms import MinibatchState
from dadapt_cli.algorithms._pairs import Pairs
from dadapt_cli.checkpoint import state as snapshot

from ..conftest import random_problem


def through(live: Any, value: Any) -> Any:
    arrays: snapshot.Arrays = {}
    text = json.dumps(snapshot.take(value, arrays))
    return snapshot.restore(live, json.loads(text), arrays)


@pytest.mark.parametrize(
    "value",
    [0.1, math.inf, -math.inf, -0.0, 5e-324, 2**127 + 1, True, None, "x", [1, (2.5, None)],
     {"state": {"inc": 3**80}}],
)  # fmt: skip
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    back = through(None, value)
    assert back == value
    assert type(back) is type(value)
    assert str(back) == str(value)  # the sign of zero


def test_scalars_of_numpy_stay_such_and_arrays_keep_their_order() -> None:
    back = through(None, [np.float64(0.1), np.float32(math.nan), np.asfortranarray(np.eye(3, 2))])
    assert type(back[0]) is np.float64
    assert type(back[1]) is np.float32
    assert np.isnan(back[1])
    assert back[2].flags.f_contiguous
    assert not back[2].flags.c_contiguous


def test_a_deque_keeps_its_length_limit() -> None:
    pairs = Pairs(2)
    for i in range(4):
        pairs.direction(np.full(3, float(i * i)), np.ones(2), 0.0)
        pairs.moved(np.full(3, 1.0 + i), np.ones(2), 0.0)
    back = through(Pairs(2), pairs)
    assert isinstance(back.pairs, deque)
    assert back.pairs.maxlen == 2
    assert len(back.pairs) == 2
    for one, other in zip(back.pairs, pairs.pairs, strict=True):
        np.testing.assert_array_equal(one[0][0], other[0][0])
        assert one[2] == other[2]


def state(**more: Any) -> MinibatchState:
    return MinibatchState(x0=np.zeros(3), x=np.ones(3), **more)


def test_objects_are_overwritten_in_place() -> None:
    live = state()
    back = through({"state": live}, {"state": state(d=np.float64(2.0), d_hat=math.nan)})
    assert back["state"] is live
    assert type(live.d) is np.float64
    assert math.isnan(live.d_hat)


@pytest.mark.parametrize(
    "live", [MinibatchState(x0=np.zeros(2), x=np.ones(2)), None, Pairs(1),
             MinibatchState(x0=np.zeros(3, np.float32), x=np.ones(3, np.float32))],
)  # fmt: skip
def test_what_does_not_fit_is_refused(live: Any) -> None:
    with pytest.raises(ValueError, match=r"does not fit|in place of|not \("):
        through(live, state())


@dataclass
class Odd:
    thing: Any = field(default_factory=object)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, np.array([object()]), Odd(), state(d=lambda: 0), 1j]
)
def test_what_cannot_be_kept_is_an_error_when_it_is_taken(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        snapshot.take(value, {})


def test_the_problem_is_no_part_of_a_state() -> None:
    kept = snapshot.take(state(d=random_problem(0)), {})
    assert list(kept["MinibatchState"]) == ["x0", "x", "d_hat", "step_size"]
