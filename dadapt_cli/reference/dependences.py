r"""Exact linear dependences of the columns of a matrix, by comparison and never by eigenvalues.

Zero columns, columns that are rational multiples of another one, and combinations with small
rational coefficients (one-hot groups that each sum to 1). The last are proposed by a factorisation
with pivots and believed only where the combination is 0 in exact arithmetic. A dependence is
stored as :math:`x_j = \sum_b B_{bj} x_b`, j dropped and b in the basis, so the null space is
spanned by the columns of N = [I; -B], whose least singular value is at least 1.

Numbers are compared as float64. Decimals of at most 15 digits are equal when these are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Indices, Mask
from dadapt_cli.objective.rounding import TINY, U, gamma, norm_up

LARGEST_DENOMINATOR = 1000
"""Largest denominator of the rational coefficients that are tried."""

MOST_FRACTIONS = 200_000
"""Most entries that are compared in rational arithmetic; integers have no limit."""


@dataclass(frozen=True)
class Dependences:
    """The unknowns of a basis, those that depend on them, and the directions along which f is flat.

    Attributes
    ----------
    basis, dropped
        Numbers of the unknowns, in ascending order.
    N
        (unknowns, r): along its columns nothing changes; each entry within u of a rational.
    """

    basis: Indices
    dropped: Indices
    N: Array

    def reduce(self, w: Array) -> Array:
        """A point with the same values (but for rounding) whose dropped unknowns are 0."""
        if not len(self.dropped):
            return w
        flat = w.ravel() - self.N @ w.ravel()[self.dropped]
        flat[self.dropped] = 0.0
        return flat.reshape(w.shape)

    def nearest(self, move: Array) -> tuple[Array, float]:
        """The part of `move` orthogonal to N, and a bound on its error (2-norm)."""
        if not len(self.dropped):
            return move, 0.0
        v = move.ravel()
        with np.errstate(all="ignore"):
            coefficients = np.linalg.lstsq(self.N, v, rcond=None)[0]
            near = v - self.N @ coefficients
            size, k = np.abs(self.N), gamma(len(coefficients) + 4.0)
            rounding = k * (size @ np.abs(coefficients) + np.abs(v)) + TINY
            # What is left along N: at most ||N' near||, as no singular value is below 1.
            left = np.abs(self.N.T @ near) + gamma(v.size + 4.0) * (size.T @ np.abs(near))
        return near.reshape(move.shape), norm_up(rounding) + norm_up(left + size.T @ rounding)


def none(unknowns: int) -> Dependences:
    """No dependence among so many unknowns."""
    nothing = np.zeros(0, np.intp)
    return Dependences(np.arange(unknowns), nothing, np.zeros((unknowns, 0)))


def same_for_all(p: int, n_classes: int, rows: Indices) -> Dependences:
    """The same number added to all classes' weights of the features `rows` changes nothing."""
    dropped = rows * n_classes + n_classes - 1
    N = np.zeros((p, n_classes, len(rows)))
    N[rows, :, np.arange(len(rows))] = 1.0
    basis = np.setdiff1d(np.arange(p * n_classes), dropped)
    return Dependences(basis, dropped, N.reshape(p * n_classes, len(rows)))


def of_classes(columns: Dependences, n_classes: int) -> Dependences:
    """Those of the weights (p, C), given those of the features: and the same for all classes.

    The last class is dropped; for the others the features' dependences hold one by one. A
    direction of a dropped feature for the last class is left out: it is one minus the others.
    """
    p = len(columns.basis) + len(columns.dropped)
    same = same_for_all(p, n_classes, np.arange(p))
    if not len(columns.dropped):
        return same
    r, last = len(columns.dropped), n_classes - 1
    own = np.zeros((p, n_classes, r, last))
    for c in range(last):
        own[:, c, :, c] = columns.N
    common = same.N.reshape(p, n_classes, p).copy()
    for i, j in enumerate(columns.dropped):
        # The feature's own direction in the last class, less what is common to all classes.
        common[:, :last, j] = -columns.N[:, i, None]
        common[j, :, j] = 0.0
        common[j, last, j] = 1.0
    places = (columns.dropped * n_classes)[:, None] + np.arange(last)
    dropped = np.concatenate([same.dropped, places.ravel()])
    N = np.hstack([common.reshape(p * n_classes, p), own.reshape(p * n_classes, r * last)])
    order = np.argsort(dropped)
    stays: Mask = np.ones(p * n_classes, bool)
    stays[dropped] = False
    return Dependences(np.flatnonzero(stays), dropped[order], N[:, order])


def find(A: Any, known: Dependences | None = None) -> Dependences:
    """The dependences among the columns of A, (m, unknowns) in CSR.

    Parameters
    ----------
    A
        Margins of the loss terms by unknown, as stored.
    known
        Dependences that hold by structure; the others are looked for in its basis.
    """
    known = none(A.shape[1]) if known is None else known
    columns = sp.csc_array(A)
    columns.sort_indices()
    columns.eliminate_zeros()
    made: dict[int, dict[int, Fraction]] = {}
    kept = _multiples(columns, known.basis, made)
    _combinations(columns, kept, made)
    return _assemble(known, made, A.shape[1])


def _column(A: Any, j: int) -> tuple[Indices, Array]:
    own = slice(A.indptr[j], A.indptr[j + 1])
    return A.indices[own], A.data[own]


def _multiples(A: Any, basis: Indices, made: dict[int, dict[int, Fraction]]) -> list[int]:
    """Take out zero columns and multiples of an earlier column; return those that stay."""
    first: dict[bytes, list[int]] = {}
    kept = []
    for j in basis.tolist():
        rows, values = _column(A, j)
        if not len(rows):
            made[j] = {}
            continue
        alike = first.setdefault(rows.tobytes(), [])
        for b in alike:
            ratio = _ratio(values, _column(A, b)[1])
            if ratio is not None:
                made[j] = {b: ratio}
                break
        else:
            kept.append(j)
            if len(alike) < 20:  # dense data: a few are enough, _combinations sees the others
                alike.append(j)
    return kept


def _ratio(values: Array, others: Array) -> Fraction | None:
    """r with values = r others exactly, or None."""
    with np.errstate(all="ignore"):
        r = values[0] / others[0]
        if not (
            np.isfinite(r) and r and np.all(np.abs(values - r * others) <= 4 * U * np.abs(values))
        ):
            return None
    exact = Fraction(values[0]) / Fraction(others[0])
    if exact in (1, -1):
        return exact if np.array_equal(values, float(exact) * others) else None
    if len(values) > MOST_FRACTIONS:
        return None
    pairs = zip(values.tolist(), others.tolist(), strict=True)
    return exact if all(Fraction(a) == exact * Fraction(b) for a, b in pairs) else None


def _combinations(A: Any, kept: list[int], made: dict[int, dict[int, Fraction]]) -> None:
    """Take out of `kept` what is a rational combination of the others."""
    if not kept or A.shape[0] == 0:
        return
    dense, scale = _unit_gram(A, kept)
    order, rank = _pivots(dense)
    if rank == len(kept):
        return
    chosen, rest = order[:rank], order[rank:]
    G = dense[np.ix_(chosen, chosen)]
    coefficients = np.linalg.lstsq(G, dense[np.ix_(chosen, rest)], rcond=1e-13)[0]
    coefficients *= scale[chosen][:, None]
    coefficients /= scale[rest]
    numbers = np.asarray(kept)
    for i, j in enumerate(numbers[rest].tolist()):
        largest = float(np.abs(coefficients[:, i] / scale[chosen]).max(initial=0.0))
        found = {}
        for b, value, unit in zip(
            numbers[chosen].tolist(), coefficients[:, i], scale[chosen], strict=True
        ):
            if abs(value / unit) > 1e-7 * largest:
                found[b] = _rational(float(value))
        if found and _vanishes(A, j, found):
            made[j] = found


def _unit_gram(A: Any, kept: list[int]) -> tuple[Array, Array]:
    """A'A of the columns, each divided by its norm; and one over the norms."""
    some = A[:, kept]
    size = np.abs(some).max(axis=0)
    largest = np.asarray(size.toarray() if sp.issparse(size) else size).ravel()
    some = some @ sp.diags_array(1.0 / largest)
    norms = np.sqrt(np.asarray(some.multiply(some).sum(axis=0)).ravel())
    some = sp.csr_array(some @ sp.diags_array(1.0 / norms))
    if some.nnz > 0.1 * some.shape[0] * some.shape[1] and some.shape[0] * some.shape[1] < 2**25:
        dense = some.toarray()
        return dense.T @ dense, 1.0 / (norms * largest)
    return np.asarray((some.T @ some).toarray()), 1.0 / (norms * largest)


def _pivots(G: Array) -> tuple[Indices, int]:
    """The order in which pivots are taken, and how many of them are clear of rounding."""
    from scipy.linalg.lapack import dpstrf

    _, pivots, rank, _ = dpstrf(G, lower=1, tol=1e-12 * len(G))
    return np.asarray(pivots, np.intp) - 1, int(rank)


def _rational(value: float) -> Fraction:
    """A simple fraction near `value`, which may be the inverse of a large integer."""
    near = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    if value and abs(near - Fraction(value)) > Fraction(1, 10**6) * abs(Fraction(value)):
        inverse = (1 / Fraction(value)).limit_denominator(LARGEST_DENOMINATOR)
        near = 1 / inverse if inverse else near
    return near


def _vanishes(A: Any, j: int, combination: dict[int, Fraction]) -> bool:
    """Whether column j is this combination of others, exactly."""
    parts = [(j, Fraction(-1)), *combination.items()]
    whole = math.lcm(*(part.denominator for _, part in parts))
    columns = [_column(A, b) for b, _ in parts]
    integers = [int(part * whole) for _, part in parts]
    bound = sum(
        abs(k) * float(np.abs(values).max(initial=0.0))
        for k, (_, values) in zip(integers, columns, strict=True)
    )
    if bound < 2**53 and all(np.all(values == np.rint(values)) for _, values in columns):
        summed = np.zeros(A.shape[0])
        for k, (rows, values) in zip(integers, columns, strict=True):
            summed[rows] += k * values  # integers below 2^53: nothing is rounded
        return not summed.any()
    if sum(len(rows) for rows, _ in columns) > MOST_FRACTIONS:
        return False
    exact: dict[int, Fraction] = {}
    for k, (rows, values) in zip(integers, columns, strict=True):
        for i, value in zip(rows.tolist(), values.tolist(), strict=True):
            exact[i] = exact.get(i, Fraction(0)) + k * Fraction(value)
    return not any(exact.values())


def _assemble(
    known: Dependences, made: dict[int, dict[int, Fraction]], unknowns: int
) -> Dependences:
    """The new dependences together with those that were known."""
    if not made:
        return known
    new = sorted(made)
    columns = [_direction(made, j) for j in new]
    for c in range(known.N.shape[1]):
        # A known direction, of integers, freed of what is dropped now: N = [I; -B] holds again.
        old: dict[int, Fraction] = {}
        for j in np.flatnonzero(known.N[:, c]).tolist():
            value = Fraction(known.N[j, c])
            _add(old, {j: Fraction(1)}, value)
            if j in made:
                _add(old, _direction(made, j), -value)
        columns.append(old)
    dropped = np.concatenate([np.asarray(new, np.intp), known.dropped])
    N = np.zeros((unknowns, len(dropped)))
    for c, direction in enumerate(columns):
        for j, value in direction.items():
            N[j, c] = float(value)
    order = np.argsort(dropped)
    stays: Mask = np.ones(unknowns, bool)
    stays[dropped] = False
    return Dependences(np.flatnonzero(stays), dropped[order], N[:, order])


def _add(to: dict[int, Fraction], what: dict[int, Fraction], factor: Fraction) -> None:
    for j, value in what.items():
        to[j] = to.get(j, Fraction(0)) + factor * value


def _direction(made: dict[int, dict[int, Fraction]], j: int) -> dict[int, Fraction]:
    """e_j minus the columns that make column j: a multiple may be one of a dropped column."""
    found = {j: Fraction(1)}
    for b, value in made[j].items():
        _add(found, {b: Fraction(1)}, -value)
        if b in made:  # e_b less its own direction is what makes it
            _add(found, _direction(made, b), value)
    return {i: value for i, value in found.items() if value}
