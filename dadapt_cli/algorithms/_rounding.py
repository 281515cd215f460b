r"""What rounding can have done to the sums that d and the bound column are made of.

Every claim here comes from f* >= f_i + <g_i, x* - x_i> at points x_i, for which f, g, the sums over
i and their norms are computed with an error. This module bounds the errors, and a claim is made of
what is left: [numerator - error]/[||s|| + error] for d, the sum of all for the bound column. Where
rounding is all there is, d stays where it is.

With u the unit of the arrays, gamma_k = k u/(1 - k u) bounds a sum of k terms in any order (Higham,
Accuracy and Stability of Numerical Algorithms, ch. 3), with or without fused operations. m and n
are the most entries of a row and of a column of X (of a block of rows, and the number of blocks),
both with a few more for single roundings: of x from its decimals, of w = c v in a metric, of
quotients.

*Gradient.* Margins are within gamma_m |x_i|.|v| <= gamma_m ||x_i|| ||v||, the residual's derivative
is at most 1/4 of a sample's share (softmax 1/2), and the exponential and the link are good to 32 u
(NumPy's exp to 4 ulp; 2 C more for the sum over classes). So R is within

.. math:: \|\delta R_i\| \le \tfrac{1}{n}\left(\tfrac14 \gamma_m \|x_i\| \|v\|
          + \kappa u\right), \qquad \kappa = 32 + 2 C,

and, the product with X' adding gamma_n |X|'|R| and the l2 term gamma_m l2 ||v||,

.. math:: \|\delta g\|_* \le (\gamma_n + \kappa u)\, G + \gamma_m L_F \|v\|,
          \quad G = \operatorname{mean} \|x_i\|,
          \quad L_F = \tfrac14 \operatorname{mean} \|x_i\|^2 + \lambda .

These are :func:`~.smoothness.lipschitz` and :func:`~.smoothness.frobenius`, in the metric; with the
l-infinity norm of points and l1 of gradients, ``lipschitz_inf`` and ``smoothness_inf``. Two numbers
a problem, so an iteration costs two norms.

*Value.* The loss is 1-Lipschitz in the margin: gamma_m G ||v|| from there, and (gamma_n + kappa u)
times f for the loss itself (all terms are non-negative), kappa u for softmax.

*The listing's arithmetic.* s is within the sum of w_i ||delta g_i|| + u (4 w_i ||g_i|| + ||s_i||);
sum w_i <g_i, x_i - x_0> within that of w_i times the errors of g and of the product, and of
x_i = x_0 - gamma_i s_i, which is met to 4 u ||x_i||. Option I's numerator is at most Option II's
also for the floats, but for <x_i - x_0, rounding of s_i>: Lemma 4 is algebra in s_i + w_i g_i.

*Gradients at averages.* Where g_i is taken at y_i and the sums are over z_i, with w_i z_i =
W_i ybar_i - W_{i-1} ybar_{i-1} and y_i between z_i and ybar_i, a y_i that is off by e costs
w_i ||g_i|| e in z_i - y_i, W_{i-1} ||g_i|| e in y_i - ybar_{i-1} and W_i (||g_i|| e + L e^2/2) in
f: at most 2 W_i (||g_i|| + L e) e together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._space import norm, norm1
from dadapt_cli.objective import Problem, smoothness
from dadapt_cli.objective.losses import Logistic, Softmax

EPS = 2.0**-53
"""Unit of the scalars, which are float64 whatever the arrays are."""

OUTWARD = 1.01
"""Factor that covers products of two errors, and the rounding of the errors' own sums."""

NO_CLAIM = 1e100
"""gamma_k where k u reaches 1/2: no claim survives it, and no infinity turns into a NaN."""


def gamma(k: float, u: float) -> float:
    """Bound on the relative error of k roundings."""
    return k * u / (1 - k * u) if 2 * k * u < 1 else NO_CLAIM


@dataclass(slots=True, kw_only=True)
class Rounding:
    """Bounds on errors: constants of the problem, those of the last point, and of the sums.

    By default f and gradients count as exact, and only the listing's own arithmetic is charged;
    :meth:`of` charges their evaluation.
    """

    u: float
    inner: float  # relative error of inner products and norms
    origin: float  # ||x_0||
    inf: bool = False  # points in the l-infinity norm, gradients in l1
    G: float = 0.0
    L: float = 0.0
    margins: float = 0.0  # gamma_m
    link: float = 0.0  # kappa u
    sums: float = 0.0  # gamma_n + kappa u
    column: int = 0  # stored entries of the fullest
    value_relative: float = 4 * EPS
    value_absolute: float = 0.0
    drift: float = 0.0  # margins beyond gamma_m ||v||, in units of ||x_i||; the algorithm's to set
    # At the last point:
    size: float = 0.0  # ||g||
    f: float = 0.0
    length: float = 0.0  # ||x - x_0||
    shift: float = 0.0  # of x itself
    gradient: float = 0.0  # of g
    value: float = 0.0  # of f
    product: float = 0.0  # of <g, x - x_0>
    # Running:
    steps: int = 0
    reach: float = 0.0  # largest ||x|| so far
    worst_value: float = 0.0
    s: float = 0.0
    products: float = 0.0  # of sum w_i <g_i, x_i - x_0>
    sizes: float = 0.0  # sum w_i ||g_i|| ||x_i - x_0||
    average: float = 0.0  # of the average of the iterates
    W: float = 0.0  # sum w_i
    f_total: float = 0.0  # sum w_i f_i
    values: float = 0.0  # of it
    f_best: float = math.inf  # f_b
    best_error: float = 0.0  # of f_b
    apart: bool = False  # gradients are taken elsewhere than at the points of the sums

    @classmethod
    def plain(cls, x0: Array, *, inf: bool = False) -> Rounding:
        """For exact f and gradients."""
        return cls(
            u=float(np.finfo(x0.dtype).eps) / 2,
            inner=gamma(x0.size + 4, EPS),
            origin=_length(x0, inf=inf),
            inf=inf,
        )

    @classmethod
    def of(cls, problem: Problem, x0: Array, *, inf: bool = False) -> Rounding:
        """For f and gradients of `problem`, in its metric; a few passes over the data."""
        made = cls.plain(x0, inf=inf)
        made.column = smoothness.most_in_a_column(problem)
        made.G = (smoothness.lipschitz_inf if inf else smoothness.lipschitz)(problem)
        made.L = (smoothness.smoothness_inf if inf else smoothness.frobenius)(problem)
        made.charge(problem, made.u)
        blocks = [b.rows.stop - b.rows.start for b in problem.blocks]
        made.sum_blocks(blocks if problem.sums is None else problem.sums.lengths)
        return made

    def charge(self, problem: Problem, u: float) -> None:
        """Charge products and links whose unit is `u`; those with X' are to be charged anew."""
        self.u, self.sums = u, 0.0
        self.margins = gamma(_most_in_a_row(problem) + 8, u)
        self.link = (32 + 2 * (problem.n_classes if problem.softmax else 1)) * u
        summed = gamma(problem.n, EPS) + gamma(math.prod(problem.shape) + 4, u)  # losses, weights
        self.value_relative = summed + self.link
        self.value_absolute = self.link if problem.softmax else 0.0

    def sum_blocks(self, lengths: list[int]) -> None:
        """Charge the product with X' where it is a sum over blocks of so many rows."""
        column = min(max(lengths), self.column) + len(lengths)
        self.sums = max(self.sums, gamma(column + 8, self.u) + self.link)

    def first_gradient(self, problem: Problem, x0: Array, g0: Array) -> tuple[Array, float]:
        """g_0 and a bound on its error; of a float32 problem, from its margins in float64."""
        from_margins = self.margins * self.L * self.origin
        if g0.dtype == np.float64:
            return g0, self.sums * self.G + from_margins
        w = problem.rescaled(x0)
        if problem.sums is not None:
            g0 = problem.rescaled(problem.value_and_gradient(w.astype(np.float64)).g)
            return g0, self.sums * self.G + from_margins
        scores = problem.scores(w).astype(np.float64)
        residuals = np.empty_like(scores)
        weights = (
            None if problem.sample_weight is None else problem.sample_weight.astype(np.float64)
        )
        link: Logistic | Softmax
        if problem.softmax:
            link = Softmax(problem.y, problem.n_classes, problem.n_mean, weights)
        else:
            link = Logistic(problem.y.astype(np.float64), problem.n_mean, weights)
        link(scores, residuals)
        g0 = problem.rescaled(problem.gradient(residuals, w.astype(np.float64)))
        sums = gamma(problem.n + 8, EPS) + self.link * EPS / self.u
        return g0, sums * self.G + from_margins

    def at(self, f: float, g: Array, move: Array, other: Array | None = None) -> None:
        """Bound the errors at the point x_0 + `move`; the sums are over x_0 + `other`."""
        self.size = norm1(g) if self.inf else norm(g)
        self.length = _length(move, inf=self.inf)
        if other is not None:
            self.apart = True
            self.length = max(self.length, _length(other, inf=self.inf))
        reach = self.origin + self.length
        margins = self.margins * reach + self.drift
        self.shift = 4 * self.u * reach
        self.gradient = self.sums * self.G + self.L * margins
        self.value = self.G * margins + self.value_relative * abs(f) + self.value_absolute
        self.product = (
            (self.inner + 6 * self.u) * self.size * self.length
            + self.size * self.shift
            + self.gradient * (self.length + self.shift)
        )
        self.reach = max(self.reach, reach)
        self.worst_value = max(self.worst_value, self.value)  # not a NaN: f may not be known
        self.f = f
        if f < self.f_best:
            self.f_best, self.best_error = f, self.value

    def add(self, weight: float, s_norm: float) -> None:
        """Take the point into the sums; ||s|| is that before it."""
        self.steps += 1
        moved = self.u * (4 * weight * self.size + s_norm)
        self.s += weight * self.gradient + moved
        self.products += weight * self.product + self.length * moved + EPS * self.sizes
        self.sizes += weight * self.size * self.length
        self.W += weight
        self.f_total += weight * self.f
        self.values += weight * self.value + EPS * self.f_total

    def averaged(self, fraction: float) -> None:
        """Take x_k into the average: old errors fade as old points do."""
        made = (1 + 8 * fraction) * self.u + 2 * self.steps * EPS * fraction
        self.average = (1 - fraction) * self.average + made * self.reach

    def displaced(self, W: float, fraction: float) -> None:
        """The last gradient was taken at an average, which is only known to an error."""
        e = self.average + (8 * self.u + (self.steps + 8) * EPS * fraction) * self.reach
        self.products += 2 * W * (self.size + self.gradient + self.L * e) * e

    def surplus(self, W: float) -> float:
        """A lower bound on W (f_k - f_b), f_k at the exact average."""
        e = self.average + 8 * self.u * self.reach
        errors = self.value + self.best_error + (self.size + self.gradient) * e
        relative = (self.steps + 8) * EPS * abs(self.f)
        return max(0.0, W * (self.f - self.f_best - OUTWARD * (errors + relative)))

    def lower(self, d_hat: float, s_norm: float, cancelled: float = 0.0) -> float:
        """d_hat, or what is proven of it if that is less.

        The listing's numerator leaves out sum w_i (f_i - f_b) >= 0, which <s, x_0 - x*> exceeds
        it by: as long as that is more than the errors, d_hat is a lower bound as it is.
        `cancelled` is the size of what was subtracted in the numerator.
        """
        numerator = d_hat * s_norm
        relative = self.inner + 8 * self.u + (self.steps + 8) * EPS
        error = OUTWARD * (self.products + 2 * relative * (abs(numerator) + cancelled))
        proven = (numerator + self.left_out() - error) / self.norm_of_s(s_norm, self.s)
        return d_hat if d_hat <= proven else proven

    def left_out(self) -> float:
        """A lower bound on sum w_i (f_i - f_b); 0 where f is not that of the points of the sums."""
        if self.apart:
            return 0.0
        least = self.W * self.f_best
        errors = self.values + self.W * self.best_error + (self.steps + 8) * EPS * abs(least)
        return max(0.0, self.f_total - least - OUTWARD * errors)

    def norm_of_s(self, s_norm: float, error: float) -> float:
        """An upper bound on the true ||s||."""
        return s_norm * (1 + self.inner + 4 * EPS) + OUTWARD * error

    def upper(self, D: float, s_norm: float, slack: float, W: float) -> float:
        r"""An upper bound on (D ||s|| + slack)/W, and on f - f* at the point as computed.

        Besides the sums: the average is off by an error e, and L-smoothness turns a bound B at the
        exact one into (sqrt(B) + e sqrt(L/2))^2, as ||g||_*^2 <= 2 L (f - f*) there. f as
        printed, and which of the iterates is the best, are known to the errors of the values.
        """
        relative = (self.steps + 8) * EPS
        numerator = D * self.norm_of_s(s_norm, self.s) + slack + OUTWARD * self.products
        numerator += relative * (D * s_norm + abs(slack))
        bound = max(0.0, numerator) / W * (1 + relative)
        root = math.sqrt(bound) + (self.average + self.u * self.reach) * math.sqrt(self.L / 2)
        return root * root * (1 + relative) + OUTWARD * (
            2 * self.worst_value + self.G * self.average
        )


def _length(a: Array, *, inf: bool) -> float:
    """Norm of a point."""
    return float(np.abs(a).max(initial=0)) if inf else float(norm(a))


def _most_in_a_row(problem: Problem) -> int:
    """Stored entries."""
    if problem.sums is not None:
        return int(problem.sums.longest_row)
    X = problem.X
    return problem.p if isinstance(X, np.ndarray) else int(np.diff(X.indptr).max())
