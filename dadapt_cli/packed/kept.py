"""What a process keeps of the samples of its leaves from one operation to the next: their margins.

Margins are computed from the rows when a point is given, and moved with the steps from it; so a
run that goes on elsewhere gives the point again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Indices, Matrix
from dadapt_cli.objective import Problem, curvature
from dadapt_cli.objective.blocks import sparse
from dadapt_cli.objective.directions import Directions
from dadapt_cli.objective.losses import SCORES
from dadapt_cli.objective.margins import Margins, Sample
from dadapt_cli.objective.products import add_transposed, forward
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.format import Leaf
from dadapt_cli.packed.reading import Rows
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.tree import Part

SAMPLE = 2**23
"""Entries of sampled rows, at most."""

LARGEST_FACTOR = 8192
"""Most unknowns of a factor."""

VECTORS = 30
"""Float64 arrays of the size of the weights: pairs, directions, diagonals."""

READING = (
    *("margins_at", "margins_along", "margins_gradient"),
    *("search_at", "search_along", "search_gradient", "sample"),
)
"""Operations on margins that need the rows."""

RESIDENT = (
    *("margins_loss", "search_evaluate", "search_slope", "search_hessian", "search_accept"),
    "search_keep",
)
"""Operations that need what is kept alone."""


class Lent(Problem):
    """Some samples as a problem whose rows are lent to it for a product, and taken away again.

    It has what :class:`Margins` reads, and no evaluation of its own. The mean is over all samples
    of the data; a constant feature is not stored.

    Parameters
    ----------
    index
        The class of each sample.
    p
        Weights of a class, that of the constant feature included.
    n_mean
        All samples.
    settings
        How the data are interpreted.
    """

    def __init__(self, index: Indices, p: int, n_mean: int, settings: Settings) -> None:
        self.n, self.p, self.n_mean = len(index), p, n_mean
        self.dtype = np.dtype(settings.dtype)
        self.n_classes = settings.n_classes
        self.softmax = self.n_classes > 2
        self.shape = (p, self.n_classes) if self.softmax else (p,)
        self.X = self.sample_weight = self._pool = None
        self.threads = 1
        self.y = index if self.softmax else np.where(index == 1, 1.0, -1.0).astype(self.dtype)


class LeafMargins(Margins):
    """The margins of a leaf; its rows are lent for each product."""

    def __init__(self, problem: Lent, X: Matrix) -> None:
        problem.X = X
        super().__init__(problem)

    def lend(self, X: Matrix) -> None:
        """Let the next product be with these rows, the same numbers as ever."""
        self.problem.X = X
        self.parts = self._parts()


class Kept:
    """The margins of some leaves, and the operations on them.

    Parameters
    ----------
    data
        The folder.
    settings
        How its leaves are interpreted.
    """

    def __init__(self, data: Data, settings: Settings) -> None:
        self.data, self.settings = data, settings
        self.p = data.shape[1] + settings.bias
        self._numbers = np.array(settings.classes, np.intp)
        self._margins: dict[int, LeafMargins] = {}
        self._searches: dict[int, Directions] = {}

    # As in Share: each takes the argument and returns the function of a leaf's rows, or of a leaf.

    def margins_at(self, x: Array) -> Callable[[Rows], Part]:
        """The mean loss at `x`, where the margins are from now on."""

        def work(rows: Rows) -> Part:
            margins = self._of(rows)
            margins.at(x)
            return (margins.loss(moved=False),)

        return work

    def margins_along(self, d: Array) -> Callable[[Rows], Part]:
        """d'Hd, H the Hessian of the mean loss; the margins of `d` are kept as the direction's."""

        def work(rows: Rows) -> Part:
            margins = self._of(rows)
            margins.along(d)
            return (margins.curvature(),)

        return work

    def margins_loss(self, a: float) -> Callable[[Leaf], Part]:
        """The mean loss at the point and `a` times the direction, which becomes the direction."""
        return lambda leaf: (self._margins[leaf.number].loss(a),)

    def margins_gradient(self, moved: bool) -> Callable[[Rows], Part]:
        """The gradient at the point, after it has moved by the direction if it is to."""

        def work(rows: Rows) -> Part:
            margins = self._of(rows)
            if moved:
                margins.accept()
            return (margins.gradient(),)

        return work

    def sample(self, argument: tuple[int, int]) -> Callable[[Rows], Part]:
        """Sampled rows: values, indices, entries of each row, classes, probabilities.

        Each is a list with the array of a leaf: a sum of lists has those of all leaves, in order.
        """
        chosen = curvature.sampled(self.data.shape[0], *argument)

        def work(rows: Rows) -> Part:
            margins, first = self._of(rows), rows.leaf.start
            here: Any = slice(0, rows.leaf.rows)
            if not isinstance(chosen, slice):
                a, b = np.searchsorted(chosen, [first, first + rows.leaf.rows])
                here = chosen[a:b] - first
            X, q = rows.X[here], margins.probabilities(here)
            lengths = np.diff(X.indptr)
            index = self._index(rows)[here]
            return [X.data.copy()], [X.indices.copy()], [lengths], [index], [q]

        return work

    # A search: the margins of a point and of directions through it.

    def search_at(self, argument: tuple[Array, list[Array]]) -> Callable[[Rows], Part]:
        """Make the margins those of a point and of all directions, given as weights; no result."""
        w, directions = argument

        def work(rows: Rows) -> Part:
            search = self._searches.get(rows.leaf.number)
            if search is None or len(search.V) != len(directions):
                lent = Lent(self._index(rows), self.p, self.data.shape[0], self.settings)
                search = self._searches[rows.leaf.number] = Directions(lent, len(directions))
            search.Z[...] = _product(rows.X, search, w)
            for row, direction in enumerate(directions):
                search.V[row] = _product(rows.X, search, direction)
            return ()

        return work

    def search_along(
        self, argument: tuple[list[int], list[Array], tuple[int, int, float]]
    ) -> Callable[[Rows], Part]:
        """Make the margins of some directions those of weights, and add to one a factor times one.

        No result.
        """
        which, directions, (own, total, factor) = argument

        def work(rows: Rows) -> Part:
            search = self._searches[rows.leaf.number]
            for row, direction in zip(which, directions, strict=True):
                search.V[row] = _product(rows.X, search, direction)
            search.V[total] += factor * search.V[own]
            return ()

        return work

    def search_gradient(self, _: None) -> Callable[[Rows], Part]:
        """The gradient of the mean loss at the last point evaluated, in the weights."""

        def work(rows: Rows) -> Part:
            search = self._searches[rows.leaf.number]
            g = np.zeros(search.problem.shape, search.problem.dtype)
            add_transposed(rows.X, search.unflat(search.residual), g)
            return (g,)

        return work

    def search_evaluate(self, a: Array) -> Callable[[Leaf], Part]:
        """The mean loss with coefficients `a`, and its gradient in them."""
        return lambda leaf: self._searches[leaf.number].evaluate(a)

    def search_slope(self, _: None) -> Callable[[Leaf], Part]:
        """That gradient at the last point evaluated."""
        return lambda leaf: (self._searches[leaf.number].slope(),)

    def search_hessian(self, _: None) -> Callable[[Leaf], Part]:
        """The Hessian in the coefficients, there."""
        return lambda leaf: (self._searches[leaf.number].hessian(),)

    def search_accept(self, _: None) -> Callable[[Leaf], Part]:
        """Go there; no result."""

        def work(leaf: Leaf) -> Part:
            self._searches[leaf.number].accept()
            return ()

        return work

    def search_keep(self, argument: tuple[str, Any]) -> Callable[[Leaf], Part]:
        """The last step's margins: ``add`` to a direction, ``put`` in its place; ``drop`` some."""
        how, place = argument

        def work(leaf: Leaf) -> Part:
            search = self._searches[leaf.number]
            if how == "add":
                search.V[place] += search.moved
            else:
                search.V[place] = search.moved if how == "put" else 0.0
            return ()

        return work

    def _of(self, rows: Rows) -> LeafMargins:
        """The margins of a leaf with its rows; at first of weights 0."""
        own = self._margins.get(rows.leaf.number)
        if own is None:
            lent = Lent(self._index(rows), self.p, self.data.shape[0], self.settings)
            own = self._margins[rows.leaf.number] = LeafMargins(lent, rows.X)
        else:
            own.lend(rows.X)
        return own

    def _index(self, rows: Rows) -> Indices:
        return np.asarray(self._numbers[rows.numbers])


def _product(X: Matrix, search: Directions, w: Array) -> Array:
    """X w in the order of the margins."""
    own = search.problem
    scores: Array = np.empty((own.n, *own.shape[1:]), own.dtype)
    forward(X, w.astype(own.dtype, copy=False), scores)
    return search.flat(scores)


def sample_of(part: Part, p: int, n_mean: int, settings: Settings) -> Sample:
    """The rows of :meth:`Kept.sample`, leaf after leaf, as a problem of their own."""
    values, indices, lengths, index, q = (np.concatenate(own) for own in part)
    lent = Lent(index, p, n_mean, settings)
    lent.threads = settings.threads
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    X = sparse().csr_array((values, indices, ends), shape=(len(index), p - settings.bias))
    if settings.bias:
        ones = np.ones((len(index), 1), X.dtype)
        X = sparse().csr_array(sparse().hstack([X, ones], format="csr"))
    lent.X = X
    return Sample(lent, slice(0, len(index)), q)


def margin_bytes(settings: Settings) -> int:
    """Bytes a sample of what :class:`LeafMargins` has for it."""
    scores = settings.n_classes if settings.n_classes > 2 else 1
    return np.dtype(settings.dtype).itemsize * (3 * scores + 2) + (16 if scores > 1 else 0)


def search_bytes(settings: Settings, directions: int) -> int:
    """Bytes a sample of :class:`Directions`, its links included."""
    item = np.dtype(settings.dtype).itemsize
    if settings.n_classes > 2:
        return item * settings.n_classes * (directions + 4) + 8
    return item * (directions + 8)


def work_bytes(settings: Settings) -> int:
    """Bytes of work space a leaf."""
    return 3 * SCORES * np.dtype(settings.dtype).itemsize // 2


def lead_bytes(data: Data, unknowns: int) -> int:
    """Bytes in the leading process: a sample and its dense parts, pairs, and a factor if any."""
    factor = 12 * unknowns**2 if unknowns <= LARGEST_FACTOR else 0
    sample = 24 * min(SAMPLE, data.nnz) + 16 * min(curvature.NUMBERS, data.shape[0] * unknowns)
    return sample + 8 * VECTORS * unknowns + factor
