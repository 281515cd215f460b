"""Lemma 5 for the points of any method: nothing in it asks where they come from."""

from __future__ import annotations

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import State
from dadapt_cli.algorithms._space import dot, norm


def include(state: State, weight: float, g: Array, *, averaged: bool = False) -> None:
    """Take x_k, where the gradient is `g`, into the bound's sums, and if asked into the average."""
    (state.include if averaged else state.weigh)(weight, g)
    state.slack += weight * dot(g, state.x - state.x0)
    state.s += weight * g
    state.s_norm = norm(state.s)
