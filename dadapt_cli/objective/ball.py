"""A ball that contains a minimiser, and what it proves about predictions."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Indices, Mask, Matrix
from dadapt_cli.objective.blocks import arrays_of
from dadapt_cli.objective.rounding import TINY, U, gamma
from dadapt_cli.objective.smoothness import magnitudes

AT_ONCE = 2**20
"""Stored entries whose squares are handled at once."""


PLAIN = 1e140
"""Where entries are between its inverse and this, squares neither overflow nor underflow."""


@dataclass(frozen=True)
class Ball:
    """All w with ||w - centre||_2 <= radius, in the user's variables; a minimiser is among them.

    Attributes
    ----------
    centre
        Shape (p,) or (p, C).
    radius
        In the unit of the weights.
    """

    centre: Array
    radius: float

    def proves(self, X: Matrix, chosen: Indices) -> Mask:
        """The rows whose label is proven to be the one that the exact optimum gives.

        The optimum's score at a row a is within ||a|| radius of <a, centre>; the difference of
        two classes' scores within sqrt(2) times that. Rounding is counted.

        Parameters
        ----------
        X
            Rows, shape (n, p), sparse or dense, with the bias feature where the weights have one.
        chosen
            The label of each row, as a number: binary 1 where the score is positive, else 0;
            softmax the class.

        Returns
        -------
        Mask
            Shape (n,); False wherever nothing is proven.
        """
        X = sp.csr_array(X) if sp.issparse(X) else np.asarray(X, np.float64)
        with np.errstate(all="ignore"):  # nothing is proven by what is not finite
            z = X @ self.centre
            entries = X.shape[1] + 10.0
            error = gamma(entries) * (magnitudes(X) @ np.abs(self.centre))
            error = error + TINY * (entries + float(np.abs(self.centre).sum()))
            reach = row_norms_up(X) * (self.radius * (1.0 + 8.0 * U)) + TINY
            if self.centre.ndim == 1:
                right = (z > 0) == (np.asarray(chosen) == 1)
                return np.asarray(right & (np.abs(z) > (reach + error) * (1.0 + 8.0 * U)))
            line = np.arange(X.shape[0])
            ahead = z[line, chosen][:, None] - z
            limit = math.sqrt(2.0) * reach[:, None] + error + error[line, chosen][:, None]
            clear = ahead * (1.0 - 8.0 * U) > limit * (1.0 + 8.0 * U)
            clear[line, chosen] = np.isfinite(z).all(axis=1)
            return np.asarray(clear.all(axis=1))


def row_norms_up(X: Any) -> Array:
    """Upper bounds on ||x_i||_2 of the exact data, (n,); where needed, a row is scaled first."""
    if isinstance(X, np.ndarray):
        largest = np.abs(X).max(axis=1, initial=0.0)
        whole = np.where(largest > 0, largest, 1.0)
        return _norms_up(np.square(X / whole[:, None]).sum(axis=1), whole, X.shape[1])
    norms, plain = np.empty(X.shape[0]), all(map(_plain, _parts(X.data)))
    # In parts: the scaled entries of all rows would be twice the data.
    edges = np.searchsorted(X.indptr, np.arange(0, X.nnz, AT_ONCE)).tolist()
    for first, last in itertools.pairwise(np.unique([0, *edges, X.shape[0]]).tolist()):
        own = arrays_of(X, slice(first, last))
        size, lengths = np.abs(own.data), np.diff(own.indptr)
        filled = lengths > 0
        starts, squares = own.indptr[:-1][filled], np.zeros(last - first)
        whole = np.ones(last - first)
        if size.size:
            if not plain:
                largest = np.maximum.reduceat(size, starts)
                whole[filled] = np.where(largest > 0, largest, 1.0)
                size /= np.repeat(whole, lengths)
            squares[filled] = np.add.reduceat(np.square(size, out=size), starts)
        norms[first:last] = _norms_up(squares, whole, X.shape[1])
    return norms


def _parts(values: Array) -> list[Array]:
    return [values[i : i + AT_ONCE] for i in range(0, len(values), AT_ONCE)]


def _plain(values: Array) -> bool:
    """Whether the squares of all of them are normal numbers."""
    size = np.abs(values)
    return bool(size.min() > 1.0 / PLAIN and size.max() < PLAIN)


def _norms_up(squares: Array, whole: Array, columns: int) -> Array:
    factor = 1.0 + gamma(columns + 16.0)
    return np.asarray(whole * np.sqrt(squares + columns * TINY) * factor + TINY)
