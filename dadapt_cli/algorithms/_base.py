"""What every algorithm's file provides, and the state that the full-batch listings share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._rounding import Rounding
from dadapt_cli.algorithms._space import Scalar, ratchet
from dadapt_cli.objective import Evaluation, Problem


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
        Values of ``--bound`` it takes, the default first; empty for a full-batch algorithm without
        d, which then takes no ``--d0`` either.
    minibatch
        Whether it takes minibatches: the loop is then that of epochs.
    settings
        Options that only some algorithms take, and this one does: ``gradient_bound``,
        ``memory``, ``inner``, ``lbfgs_pairs``, ``c``, ``average``, ``beta``; ``d0``, ``lr``,
        ``momentum``, ``betas``, ``schedule``.
    refuses
        Options of its kind, full-batch or minibatch, that mean nothing to it: ``bound`` where d is
        no bound, ``d0`` where there is no d, ``metric``. ``start`` is not given them.
    averaging, scheduling
        Values of ``--average`` and ``--schedule`` it takes, where it takes them.
    variants
        Values of ``--variant`` it takes; ``paper`` is the final version.
    wants
        What ``start`` is given beside x_0, g_0, d0 and bound: ``G`` of the listing, ``L`` (a
        certified upper bound on the smoothness, in the metric and norm of the algorithm),
        ``any L`` (a looser one that costs nothing), the ``problem``, ``f_star``.
    metric
        Default of ``--metric``.
    averages
        Whether the guarantee is for the average of the iterates; if not, for the best one, and
        the state's ``average`` stays x_0.
    own_threads
        Whether its products are shared out among threads by the algorithm, not by BLAS.
    resumable
        Whether a checkpoint can hold its state: fields that :mod:`.checkpoint.state` knows.
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
    settings: tuple[str, ...] = ("gradient_bound",)
    refuses: tuple[str, ...] = ()
    averaging: tuple[str, ...] = ("none", "uniform", "weighted", "poly8")
    scheduling: tuple[str, ...] = ("paper", "constant", "none", "linear", "cosine")
    variants: tuple[str, ...] = ("paper",)
    wants: tuple[str, ...] = ("G", "L")
    metric: str = "identity"
    averages: bool = True
    own_threads: bool = False
    resumable: bool = True

    @property
    def has_d(self) -> bool:
        """Whether it estimates a distance; if not, d is None from beginning to end."""
        return "d0" in self.settings if self.minibatch else "d0" not in self.refuses


@dataclass(slots=True, kw_only=True)
class State:
    """The state after k steps, as far as the loop reads it. Arrays have the shape of the weights.

    ``x`` is a new array after each step, so that earlier iterates can be kept without copying.
    It is a point of the metric: the weights are ``problem.rescaled(x)``.
    """

    x0: Array
    x: Array = None  # type: ignore[assignment]  # x_k; by default x_0
    s: Array = None  # type: ignore[assignment]  # sum_{i<k} w_i g_i, w_i the listing's weights; 0
    average: Array = None  # type: ignore[assignment]  # w-weighted, of x_0..x_{k-1}; at first x_0
    d: Scalar = None  # d_k; None: the algorithm has none
    d_hat: float | None = None  # the estimate that made d_k; None where there was none
    W: float = 0.0  # sum_{i<k} w_i
    fraction: float = 0.0  # w_{k-1}/W: the share of x_{k-1} in the average
    slack: float = 0.0  # sum_{i<k} w_i <g_i, x_i - x_0>
    s_norm: float = 0.0  # ||s_k|| in the dual norm
    step_size: float | None = None  # the scalar that made x_k
    theorem2_k: int | None = None  # t of Theorem 2's returned iterate
    theorem2_average: Array | None = None  # that iterate, xhat_t
    f: float = math.nan  # f(x_k), which the loop sets before each step
    certificate: Certificate | None = None  # of bound C
    hyperplane: float = 0.0  # bound C from x_k alone
    stalled: bool = False  # f can be lowered no further in this precision
    rounding: Rounding = None  # type: ignore[assignment]  # by default of exact gradients

    def __post_init__(self) -> None:
        if self.x is None:
            self.x = self.x0
        if self.s is None:
            self.s = np.zeros_like(self.x0)
        if self.average is None:
            self.average = self.x0.copy()
        if self.rounding is None:
            self.rounding = Rounding.plain(self.x0)

    def include(self, weight: float, g: Array) -> None:
        """Take x_k into the weighted average; the running form needs no rescaling as d grows."""
        self.weigh(weight, g)
        self.fraction = weight / self.W
        self.average += self.fraction * (self.x - self.average)
        self.rounding.averaged(self.fraction)

    def weigh(self, weight: float, g: Array, z: Array | None = None) -> None:
        """Take x_k and g_k into the sums of weights and of rounding, and into bound C, if any.

        `z` is the point of the listing's sums where that is not x_k.
        """
        move = self.x - self.x0
        self.W += weight
        self.rounding.at(self.f, g, move, None if z is None else z - self.x0)
        self.rounding.add(weight, self.s_norm)
        if self.certificate is not None:
            self.hyperplane = self.certificate.include(self.f, g, move, weight, self.rounding)

    def certified(self, d_hat: float, cancelled: float = 0.0) -> float:
        """What rounding leaves of d_hat, or of bound C where that is asked for and larger.

        `cancelled` is the size of what was subtracted in the numerator of d_hat.
        """
        if not d_hat <= self.d:  # else it is proven already
            d_hat = self.rounding.lower(d_hat, self.s_norm, cancelled)
        return d_hat if self.certificate is None else float(ratchet(d_hat, self.bound_C()))

    def bound_C(self) -> float:
        """The larger form of bound C: from x_k alone, or from all points."""
        if self.certificate is None:
            return 0.0
        everything = self.certificate.bound(self.s_norm, self.rounding.s, self.rounding)
        return float(ratchet(self.hyperplane, everything))

    @property
    def complete(self) -> bool:
        """Whether a checkpoint of now holds, or determines to the bit, what later steps use."""
        return True

    def resumed(self) -> None:
        """Make what a checkpoint leaves out; called once its fields are restored."""

    def evaluate(self, problem: Problem) -> Evaluation:
        """f and gradient at x_k, in the user's variables."""
        return problem.value_and_gradient(problem.rescaled(self.x))

    def bound(self, D: float) -> float | None:
        """Lemma 5: (D ||s_k||_dual + sum w_i <g_i, x_i - x_0>)/sum w_i bounds what INFO says.

        With weights w_i and s_k = sum_{i<k} w_i g_i it holds for the weighted average of
        x_0..x_{k-1} and so for the best of them. There is none at k = 0. Rounded up (`_rounding`).
        """
        return self.rounding.upper(D, self.s_norm, self.slack, self.W) if self.W > 0 else None


@dataclass(slots=True, kw_only=True)
class MinibatchState:
    """The state of a minibatch algorithm after k steps, as far as the loop reads it.

    The same fields serve one run and many replicas (``_space``). ``x`` is updated in place.
    """

    x0: Array
    x: Array  # x_k, where gradients are taken
    d: Scalar = None  # d_k: an estimate of the distance, no bound; None: the algorithm has none
    d_hat: Scalar = None  # the estimate that made d_k
    step_size: Scalar = None  # the scalar that made x_k

    @property
    def point(self) -> Array:
        """What is judged and returned: x_k, unless the algorithm says otherwise."""
        return self.x


class Algorithm(Protocol):
    """A module of this package: one listing of the paper."""

    INFO: Info

    Settings: Any
    """A dataclass of the options in INFO.settings, for ``start``; only where there are several."""

    def gradient_bound(self, problem: Problem, g0: Array, choice: str | float) -> Any:
        """G of the listing, for a value of ``--gradient-bound``; only where INFO wants it."""

    def start(self, x0: Array, g0: Array, *, d0: float, bound: str, **more: Any) -> State:
        """Make the state before the first step; INFO.wants and INFO.settings by keyword."""

    def step(self, state: Any, g: Array) -> None:
        """Advance the state by one iteration, given the gradient at x_k.

        A module may have ``lead(state, iterates)`` in its place (``_drive``).
        """


class MinibatchAlgorithm(Protocol):
    """A module whose INFO says ``minibatch``."""

    INFO: Info

    def start(self, x0: Array, **settings: Any) -> Any:
        """Make the state before the first step; INFO.settings (and variant) by keyword."""

    def step(self, state: Any, g: Array, eta: float = 1.0) -> None:
        """Advance by one step, given a minibatch gradient at x_k and the schedule's value.

        `g` may be overwritten.
        """
