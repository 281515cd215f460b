"""What every algorithm's file provides, and the state that the full-batch listings share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from dadapt_cli.algorithms._space import Scalar
from dadapt_cli.arrays import Array
from dadapt_cli.problem import Problem


@dataclass(frozen=True)
class Info:
    """What ``dadapt algorithms`` says about an algorithm, and what the loop must know.

    Attributes
    ----------
    name
        As typed after ``--algo``.
    title, theorem, symbols, d_means, options
        For people.
    distance
        The distance that d bounds from below: ``D`` or ``D_inf``.
    bounds
        Values of ``--bound`` it takes.
    minibatch
        Whether it takes minibatches: the loop is then that of epochs.
    settings
        Options that only some algorithms take, and this one does: ``d0``, ``lr``, ``momentum``,
        ``betas``, ``schedule``.
    variants
        Values of ``--variant`` it takes; ``paper`` is the final version.
    """

    name: str
    title: str
    theorem: str
    symbols: str
    d_means: str
    options: str
    distance: str
    bounds: tuple[str, ...]
    minibatch: bool = False
    settings: tuple[str, ...] = ()
    variants: tuple[str, ...] = ("paper",)


@dataclass(slots=True, kw_only=True)
class State:
    """The state after k steps, as far as the loop reads it. Arrays have the shape of the weights.

    ``x`` is a new array after each step, so that earlier iterates can be kept without copying.
    """

    x0: Array
    x: Array  # x_k
    s: Array  # s_k = sum_{i<k} w_i g_i, w_i the weights of the listing
    average: Array  # xhat: w-weighted average of x_0..x_{k-1}; x_0 before the first step
    d: float  # d_k
    d_hat: float | None = None  # the estimate that made d_k; None where there was none
    W: float = 0.0  # sum_{i<k} w_i
    fraction: float = 0.0  # w_{k-1}/W: the share of x_{k-1} in the average
    slack: float = 0.0  # sum_{i<k} w_i <g_i, x_i - x_0>
    s_norm: float = 0.0  # ||s_k|| in the dual norm
    step_size: float | None = None  # the scalar that made x_k
    theorem2_k: int | None = None  # t of Theorem 2's returned iterate
    theorem2_average: Array | None = None  # that iterate, xhat_t

    def include(self, weight: float) -> None:
        """Take x_k into the weighted average; the running form needs no rescaling as d grows."""
        self.W += weight
        self.fraction = weight / self.W
        self.average += self.fraction * (self.x - self.average)


@dataclass(slots=True, kw_only=True)
class MinibatchState:
    """The state of a minibatch algorithm after k steps, as far as the loop reads it.

    The same fields serve one run and many replicas (``_space``). ``x`` is updated in place.
    """

    x0: Array
    x: Array  # x_k
    d: Scalar = None  # d_k: an estimate of the distance, no bound; None: the algorithm has none
    d_hat: Scalar = None  # the estimate that made d_k
    step_size: Scalar = None  # the scalar that made x_k


class Algorithm(Protocol):
    """A module of this package: one listing of the paper."""

    INFO: Info

    def gradient_bound(self, problem: Problem, g0: Array, choice: str | float) -> Any:
        """G of the listing, for a value of ``--gradient-bound``."""

    def start(self, x0: Array, g0: Array, *, d0: float, bound: str, G: Any) -> State:
        """Make the state before the first step."""

    def step(self, state: Any, g: Array) -> None:
        """Advance the state by one iteration, given the gradient at x_k."""


class MinibatchAlgorithm(Protocol):
    """A module whose INFO says ``minibatch``."""

    INFO: Info

    def start(self, x0: Array, **settings: Any) -> Any:
        """Make the state before the first step; INFO.settings (and variant) by keyword."""

    def step(self, state: Any, g: Array, eta: float = 1.0) -> None:
        """Advance by one step, given a minibatch gradient at x_k and the schedule's value.

        `g` may be overwritten.
        """
