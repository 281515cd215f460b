"""A ball that contains a minimiser, and what it proves about predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Indices, Mask, Matrix
from dadapt_cli.objective.rounding import TINY, U, gamma
from dadapt_cli.objective.smoothness import magnitudes


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
    """Upper bounds on ||x_i||_2 of the exact data, (n,); a row is scaled before it is squared."""
    if isinstance(X, np.ndarray):
        largest = np.abs(X).max(axis=1, initial=0.0)
        whole = np.where(largest > 0, largest, 1.0)
        squares = np.square(X / whole[:, None]).sum(axis=1)
    else:
        size = np.abs(X.data)
        filled = np.diff(X.indptr) > 0
        largest = np.zeros(X.shape[0])
        if size.size:
            largest[filled] = np.maximum.reduceat(size, X.indptr[:-1][filled])
        whole = np.where(largest > 0, largest, 1.0)
        scaled = np.square(size / np.repeat(whole, np.diff(X.indptr)))
        squares = np.asarray(sp.csr_array((scaled, X.indices, X.indptr), X.shape).sum(axis=1))
    factor = 1.0 + gamma(X.shape[1] + 16.0)
    return np.asarray(whole * np.sqrt(np.ravel(squares) + X.shape[1] * TINY) * factor + TINY)
