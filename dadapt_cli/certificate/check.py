"""Check a proof file against its data: ``python check.py PROOF DATA [--tolerance T]``.

One file; NumPy and the standard library are all it needs. Exit code 0: every claim is proven, or
holds to T; 1: one does not; 2: usage; 3: a damaged proof, or one for other data; 4: no such file.

The object is f(w) = sum_i q_i loss_i(X w) + (l2/2) ||w||^2, with the decimals of the data as they
are. It is computed in float64 with a bound on the error: products are summed exactly (math.fsum);
NumPy's exp and log1p are within 4 ulp; scores whose differences are wrong by e move a loss by at
most e and a probability P by at most min(e/4, P (exp(e) - 1)). From w, with gradient g, follows
(A) l2 > 0, all weights penalised: f* >= f(w) - ||g||^2/(2 l2), and w* lies within ||g||/(2 l2) of
    w - g/(2 l2), as <g, w - w*> >= l2 ||w - w*||^2;
(B) otherwise, with the Hessian H at w: a matrix A with ||A'HA - I|| <= delta < 1 shows
    ||v||_{H^-1} <= ||A'v||/sqrt(1 - delta). Let lambda = ||g|| and R = max_i ||x_i|| in that norm.
    The third derivative of the loss is at most its second, so f(w + h) >= f(w) + <g, h>
    + (1 - R r/3) ||h||_H^2/2 for ||h||_H <= r. With r = 2 lambda (1 + 2 R lambda), R lambda <= 0.1,
    f exceeds f(w) where ||h||_H = r: a minimiser is within r, f* >= f(w) - lambda^2/2/(1 - R r/3).
"""

from __future__ import annotations

import argparse
import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import math
import stat
import sys
import zlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import Any

import numpy as np

U, ETA, SLACK = 2.0**-53, 2.0**-1060, 1.001  # rounding, underflow; rounding of error bounds
LARGEST_FILE, RATIO, MOST_VALUES = 2**30, 200, 2_000_000  # bytes; of a compressed one; of JSON
MOST_UNKNOWNS, MOST_ENTRIES = 1500, 2e7  # of a Hessian, and of the dense data it is made from
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
NONE, OVERFLOW, SECTIONS = type(None), "the numbers overflow", ("data", "objective", "witness")
Array = Any
Interval = tuple[float, float]
UNKNOWN: Interval = (0.0, math.inf)
ENDS = dict.fromkeys(("f_star", "D", "D_inf", "f"), ("lower", "upper"))
ENDS |= {"d": ("value", ""), "bound": ("", "value")}  # D is at least d; f(w) - f* at most bound


class BadInputError(ValueError):
    """A proof that is damaged or for other data, data that cannot be read, numbers too large."""


def need(good: Any, message: str) -> None:
    """Raise BadInputError unless `good`."""
    if not good:
        raise BadInputError(message)


def get(table: Any, name: str, *kinds: type) -> Any:
    """table[name], which must be there and of one of these types."""
    need(isinstance(table, dict) and name in table, f"there is no {name!r}")
    need(type(table[name]) in kinds, f"{name!r} is of a wrong type")
    return table[name]


def number(table: Any, name: str) -> float:
    """A finite number, written as hex."""
    try:
        value = float.fromhex(get(table, name, str))
    except (ValueError, OverflowError) as error:
        raise BadInputError(f"{name!r} is not a hex number, or is too large") from error
    need(math.isfinite(value), f"{name!r} is not finite")
    return value


def array(table: Any, name: str, *shape: int, missing: float | None = None) -> Array:
    """Finite float64, base64; its length is compared with the shape before it is decoded."""
    if missing is not None and get(table, name, str, NONE) is None:
        return np.full(shape, missing)
    text, chars = get(table, name, str), (8 * math.prod(shape) + 2) // 3 * 4
    need(len(text) == chars, f"{name!r} has a shape that does not fit")
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), "<f8").reshape(shape)
    except ValueError as error:
        raise BadInputError(f"{name!r} is not base64 of numbers") from error
    need(np.isfinite(values).all(), f"{name!r} is not finite")
    return values


def read_text(path: str) -> bytes:
    """The text of a file, decompressed; of standard input for ``-``."""
    with open(0 if path == "-" else path, "rb") as file:  # noqa: PTH123
        text = file.read(LARGEST_FILE + 1)
    most = LARGEST_FILE
    if opener := next((o for magic, o in OPENERS.items() if text.startswith(magic)), None):
        most = min(LARGEST_FILE, max(2**20, RATIO * len(text)))
        try:
            text = opener(io.BytesIO(text)).read(most + 1)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise BadInputError(f"{path}: damaged compressed data ({error})") from error
    need(len(text) <= most, f"{path}: has more than {most} bytes of text")
    return text


def load(path: str) -> Any:
    """The document of a proof file."""
    need(stat.S_ISREG(Path(path).stat().st_mode), f"{path}: is not a regular file")
    text = read_text(path)
    need(sum(map(text.count, (b"[", b"{", b","))) < MOST_VALUES, f"{path}: too large for a proof")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}: not a proof, or cut off ({error!s:.80})") from error


def lines(text: bytes) -> Iterator[tuple[bytes, list[list[bytes]]]]:
    """Label and [index, value] pairs of each sample, as written."""
    for place, whole in enumerate(io.BytesIO(text.removeprefix(b"\xef\xbb\xbf")), start=1):
        line = whole.partition(b"#")[0].replace(b": ", b":")
        if words := [word for word in line.split() if not word.startswith(b"qid:")]:
            pairs = [word.split(b":") for word in words[1:]]
            odd = b"".join(words).translate(None, b"0123456789+-.eE:")
            need(not odd and all(len(p) == 2 for p in pairs), f"line {place} is not LIBSVM text")
            yield words[0], pairs


def totals(values: Array, groups: Array, n: int) -> Array:
    """Sum of each of n groups, whose members stand together, rounded once."""
    need(np.isfinite(abs(values).sum()), OVERFLOW)
    ends, listed = np.searchsorted(groups, np.arange(n + 1)).tolist(), values.tolist()
    return np.array([math.fsum(listed[a:b]) for a, b in pairwise(ends)])


def length(values: Array) -> float:
    """Euclidean norm, within 2 ulp."""
    return math.hypot(*values.ravel().tolist())


def outward(low: float, high: float) -> Interval:
    """The interval with its ends rounded outward; below 0 there is nothing."""
    return max(0.0, float(np.nextafter(low, -np.inf))), float(np.nextafter(high, np.inf))


class Objective:
    """f, as a proof describes it, on the data; BadInputError where the two do not fit."""

    def __init__(self, document: Any, text: bytes) -> None:
        self._describe(document, hashlib.sha256(text).hexdigest())
        labels, self.row, self.column, self.x = self._read(text)
        n, names, objective = len(labels), self.names, document["objective"]
        need(self.n == n, f"'samples' is not {n}, the number in the data")
        weights = array(objective, "sample_weight", n, missing=1.0)
        need(min(weights) >= 0 < weights.sum() < math.inf, "'sample_weight' has no sum")
        scale, self.divisors = get(objective, "scale", str, NONE), np.ones(self.p)
        self.relative = {None: U, "unit": 8 * U}.get(scale, 2 * U)  # x is a decimal, rounded
        if scale == "unit":
            ends, listed = np.searchsorted(self.row, np.arange(n + 1)).tolist(), self.x.tolist()
            norms = [math.hypot(*listed[a : b - self.constant]) for a, b in pairwise(ends)]
            self.x = np.where(self.column < self.features, self.x / np.array(norms)[self.row], 1.0)
        elif scale is not None:
            self.divisors[: self.features] = array(objective, "scale", self.features)
        need(min(*self.metric, *self.divisors) > 0, "'scale' or 'metric' is not positive")
        self.x = self.x / self.divisors[self.column]
        self.y = np.full(n, names.index("rest") if "rest" in names else -1)
        for c, name in enumerate(names):
            self.y[labels == name] = c  # no number equals "rest"
        self.q = weights / math.fsum(weights)
        need({*self.y[weights > 0]} == {*range(self.C)}, "'labels' are not those of the data")
        self.parts: Any = [(self.q, self.y, self.row, self.column, self.x)]  # here one of them

    def _describe(self, document: Any, found: str) -> None:
        """All but the samples, which must be those of this sha256."""
        need(isinstance(document, dict) and document.get("schema") == 1, "not a proof of schema 1")
        about, objective, witness = (get(document, x, dict) for x in SECTIONS)
        names = self.names = get(about, "labels", list)
        need(get(about, "sha256", str) == found, f"for other data: the sha256 of this is {found}")
        whole = [v for v in names if type(v) is int and abs(v) <= 2**53]
        distinct = len(set(whole)) == len(whole) and len(names) - len(whole) == ("rest" in names)
        need(distinct and len(names) > 1, "'labels' are not two or more different ones")
        self.C, self.n = len(names), get(about, "samples", int)
        self.columns = self.C if self.C > 2 else 1  # of weights; two classes have scores (0, X w)
        self.l2, self.intercept = number(objective, "l2"), get(objective, "intercept", bool)
        self.constant = get(objective, "bias", bool) or self.intercept
        self.features, self.lowest = get(about, "features", int), 1 - get(about, "zero_based", bool)
        self.p, loss = self.features + self.constant, "softmax" if self.C > 2 else "logistic"
        fits = get(objective, "loss", str) == loss and self.l2 >= 0
        fits &= get(witness, "shape", list) == [self.p, self.C][: min(self.columns, 2)]
        need(fits, "'loss' or 'shape' does not fit 'labels' and 'features', or 'l2' is negative")
        self.w = array(witness, "w", self.p, self.columns)  # from here on p is that of the file
        self.x0 = array(witness, "x0", self.p, self.columns, missing=0.0)
        self.metric = array(witness, "metric", self.p, 1, missing=1.0)
        self.ridge = np.where(np.arange(self.p) < self.p - self.intercept, self.l2, 0.0)[:, None]

    def _read(self, text: bytes) -> tuple[Array, ...]:
        """Labels; row, column and value of each entry that is not 0, in order."""
        labels: list[float] = []
        entries: list[tuple[float, ...]] = []
        try:
            for label, pairs in lines(text):
                entries += [(len(labels), int(j) - self.lowest, float(x)) for j, x in pairs]
                entries += [(len(labels), self.p - 1, 1.0)] * self.constant
                labels.append(float(label))
            row, column, x = np.array(entries, np.float64).reshape(-1, 3).T
        except (ValueError, OverflowError) as error:
            raise BadInputError(f"data that are not LIBSVM text ({error!s:.80})") from error
        order = np.lexsort((column, row))
        row, column, x = row[order].astype(int), column[order].astype(int), x[order]
        good = np.isfinite(x).all() and column.min(initial=0) >= 0 and column.max() < self.p
        good &= not ((np.diff(row) == 0) & (np.diff(column) == 0)).any()
        need(good, "data with other 'features', an index twice, or a value that is not finite")
        return np.array(labels), row[x != 0], column[x != 0], x[x != 0]

    def evaluate(self, w: Array) -> tuple[Interval, Array, Array, Array, Array]:
        """f; g and its error; probabilities P, (n, C), and the error of the scores, of a part."""
        means, error, g, g_error = [], 0.0, *np.zeros((2, *w.shape))
        for q, y, row, column, x in self.parts:
            Z, E = np.zeros((2, len(y), self.C))
            for c in range(-self.columns, 0):
                products = x * w[column, c]
                size = np.bincount(row, abs(products) + ETA, len(y))
                Z[:, c] = totals(products, row, len(y))
                E[:, c] = SLACK * ((self.relative + U) * size + U * abs(Z[:, c])) + ETA
            C, top, own = self.C, (np.arange(len(y)), Z.argmax(axis=1)), (np.arange(len(y)), y)
            omega = SLACK * np.partition(E, C - 2)[:, -2:].sum(axis=1)  # of differences of scores
            t = np.maximum(Z - Z[top][:, None], -800.0)  # exp(-800) is 0
            e = np.exp(t)
            e[top] = 0.0
            others = e.sum(axis=1)
            loss = np.log1p(others) + (Z[top] - Z[own])
            bound = ((C + 10) * others - (e * t).sum(axis=1)) / (1.0 + others) + 9 * loss
            e[top] = 1.0
            P = e / (1.0 + others)[:, None]
            r_error = np.minimum(omega[:, None] / 4, P * np.expm1(omega)[:, None])
            r_error += P * U * (24 + 3 * C - t) + 2.0**-1020
            r = P.copy()  # the residuals: P, but the own one is minus the sum of the others
            r[own] = r_error[own] = 0.0
            r[own] = -r.sum(axis=1)
            moved = np.minimum(omega, SLACK * np.exp(omega) * (abs(r) * E).sum(axis=1))
            means.append(math.fsum(q * loss))
            error += 4 * U * means[-1] + SLACK * float(q @ (moved + SLACK * U * bound + ETA))
            r_error[own] = r_error.sum(axis=1) - U * (C + 2) * r[own]
            r, r_error, order = r * q[:, None], r_error * q[:, None], column.argsort(kind="stable")
            x, row, (used, to) = x[order], row[order], np.unique(column[order], return_inverse=True)
            for c in range(-self.columns, 0):
                sums = totals(x * r[row, c], to, len(used))
                g[used, c] += sums
                each = abs(x) * (r_error[row, c] + (self.relative + 6 * U) * abs(r[row, c])) + ETA
                g_error[used, c] += np.bincount(to, each) + U * (abs(sums) + abs(g[used, c]))
        mean, norm = math.fsum(means), length(w[self.ridge[:, 0] > 0])
        term = self.l2 / 2 * norm * norm
        error = SLACK * (error + 8 * U * term + U * (2 * mean + term)) + ETA
        g_error = SLACK * (g_error + U * (2 * abs(g) + 4 * abs(self.ridge * w))) + ETA
        f = outward(mean + term - error, mean + term + error)
        return f, g + self.ridge * w, g_error, P, omega

    def enclose(self) -> tuple[dict[str, Interval], str]:
        """f*, D and D_inf, distances of w/metric, from w; and why some are missing."""
        w, x0, metric = self.w, self.x0, self.metric
        f, away, free = UNKNOWN, w - x0, self.ridge[:, 0] == 0
        try:
            f, g, g_error, P, omega = self.evaluate(w)
            if not free.any():  # (A)
                norm = length(g) + length(g_error)
                gap, away = SLACK * norm / (2 * self.l2) * norm, away - g / (2 * self.l2)
                rounding = length((g_error + 4 * U * abs(g)) / (2 * self.l2))
                largest = radius = SLACK * (norm / (2 * self.l2) + rounding) / metric.min()
            else:
                gap, radius, largest = self._newton(g, g_error, P, omega)
                away[free & ~np.isin(np.arange(self.p), self.column)] = 0.0  # the nearest w*
                if self.C > 2:
                    away[free] -= away[free].mean(axis=1, keepdims=True)
        except (BadInputError, np.linalg.LinAlgError) as error:
            return {"f_star": (0.0, f[1])}, str(error)
        away, found = away / metric, {"f_star": (outward(f[0] - gap, 0.0)[0], f[1])}
        slack = 9 * U * (length(w / metric) + length(x0 / metric) + length(away))
        for name, d, r in (("D", length(away), radius), ("D_inf", abs(away).max(), largest)):
            found[name] = outward(d - r - slack, d + r + slack)
        return found, ""

    def _newton(self, g: Array, g_error: Array, P: Array, omega: Array) -> tuple[float, ...]:
        """(B): bounds on f(w) - f*, and on (w - w*)/metric in the norms of D and D_inf."""
        k, p, n, C = self.columns, self.p, self.n, self.C
        need(k * p <= MOST_UNKNOWNS and n * p <= MOST_ENTRIES, "too large for its Hessian")
        largest, X = np.zeros(p), np.zeros((n, p))
        np.maximum.at(largest, self.column, abs(self.x))
        s = np.ldexp(1.0, -np.frexp(largest)[1])  # of columns: powers of two, so exact
        X[self.row, self.column] = self.x * s[self.column]
        ridge, free = self.ridge[:, 0] * s * s, self.ridge[:, 0] == 0
        H = np.zeros((k, p, k, p))
        for a, b in combinations_with_replacement(range(k), 2):
            S = P @ (np.arange(C) != C - k + a) if a == b else -P[:, b]
            H[a, :, b] = X.T @ ((self.q * P[:, a - k] * S)[:, None] * X)
            H[b, :, a] = H[a, :, b].T
        diagonal = np.einsum("ajaj->aj", H)
        diagonal += ridge
        if k > 1:  # equal weights of all classes change nothing: no direction to look at
            np.einsum("ajbj->abj", H)[...] += diagonal.max(axis=0) * free
        alive = np.tile((largest > 0) | ~free, k)
        H = H.reshape(k * p, k * p)[np.ix_(alive, alive)]
        d = np.sqrt(np.diag(H) + n * 1e-300)  # no entry of H is larger than d d'; nor its terms
        t = np.ldexp(1.0, -np.frexp(d)[1])
        A = t[:, None] * np.linalg.inv(np.linalg.cholesky(t[:, None] * H * t)).T
        gamma = U * (2 * len(A) + p + 20)
        rough = 2 * gamma + 3 * np.expm1(omega.max()) + U * (n + 2000 + 8 * C)
        close = abs(A.T @ (H @ A) - np.eye(len(A))).sum(axis=1)
        delta = SLACK * (close + rough * (d @ abs(A)) * (d @ abs(A).sum(axis=1))).max()
        need(delta < 0.5, "the columns are dependent, to rounding")
        shrink = SLACK / math.sqrt(1 - delta)
        g, g_error = ((v * s[:, None]).T.ravel()[alive] for v in (g, g_error))
        lam = shrink * (length(A.T @ g) + length(abs(A.T) @ (g_error + gamma * abs(g))))
        B = (np.eye(k * p)[:, alive] @ A).reshape(k, p, -1)
        reach = [((abs(X @ b) + gamma * abs(X) @ abs(b)) ** 2).sum(axis=1).max() for b in B]
        R = shrink * min(k, 2) * math.sqrt(max(reach))
        need(R * lam <= 0.1, "w is too far from the minimum")
        r = 2 * SLACK * lam * (1 + 2 * R * lam)
        B = (B * (s / self.metric[:, 0])[:, None]).reshape(k * p, -1)
        sizes = length(B), math.sqrt((B * B).sum(axis=1).max())  # Frobenius for the 2-norm
        return SLACK * lam * lam / (2 - R * r), *(r * shrink * size for size in sizes)

    def recession(self, v: Array, text: bytes) -> str:
        """Whether no loss rises along v, (p, columns), and one falls: in rational numbers."""
        if v[self.ridge[:, 0] > 0].any():
            return "refuted"
        if self.relative > 2 * U and self.constant and v[-1].any():
            return "not checked (rows of length 1 are not rational)"
        exact = [[Fraction(a) for a in row] for row in v.tolist()]
        divisors, falls = [Fraction(d) for d in self.divisors.tolist()], False
        for (_, pairs), own, q in zip(lines(text), self.y.tolist(), self.q.tolist(), strict=True):
            z = [Fraction(0)] * (self.C - self.columns)
            z += exact[-1] if self.constant else [Fraction(0)] * self.columns
            for j, x in ((int(j) - self.lowest, x.decode()) for j, x in pairs):
                for c in range(-self.columns, 0) if any(exact[j]) and float(x) else ():
                    z[c] += Fraction(x) / divisors[j] * exact[j][c]
            if q > 0 and max(z) > z[own]:
                return "refuted"
            falls |= q > 0 and min(z) < z[own]
        return "proven" if falls else "refuted"


def compare(claimed: Interval, found: Interval, why: str) -> dict[str, Any]:
    """The verdict on a claim about a number in `found`, and the tolerance to which it holds."""
    away = max(0.0, claimed[0] - found[0], found[1] - claimed[1])
    verdict, tolerance = f"to tolerance {away:.3g}", outward(0, away)[1]
    if found[1] < claimed[0] or found[0] > claimed[1]:
        verdict, tolerance = "refuted", math.inf
    elif away == 0:
        verdict, tolerance = "proven", 0.0
    elif why or not math.isfinite(away):
        verdict, tolerance = f"not checked ({why or OVERFLOW})", math.inf
    return {"verdict": verdict, "tolerance": tolerance, "claimed": claimed, "enclosed": found}


@np.errstate(all="ignore")
def judge(document: Any, text: Any, of: type[Objective] = Objective) -> list[dict[str, Any]]:
    """Each claim of a proof with its verdict; BadInputError for a proof that is not this text's."""
    objective, verdicts = of(document, text), []
    found, missing = objective.enclose()
    need(get(document, "claims", list), "a proof without claims")
    for claim in document["claims"]:
        kind, size = get(claim, "kind", str), objective.w.shape
        row = {"kind": kind, "k": get(claim, "k", int) if kind in ("d", "f", "bound") else None}
        if kind == "not-attained":
            verdict = objective.recession(array(claim, "direction", *size), text)
            row |= {"verdict": verdict, "tolerance": 0.0 if verdict == "proven" else math.inf}
        else:
            need(kind in ENDS, f"a claim of the kind {kind!r:.40}")
            enclosed = found.get("D" if kind == "d" else kind, UNKNOWN)
            if kind in ("f", "bound"):
                w = array(claim, "w", *size) if "w" in claim else objective.w
                (low, high), star = objective.evaluate(w)[0], found["f_star"]
                enclosed = (low, high) if kind == "f" else outward(low - star[1], high - star[0])
            ends = zip(ENDS[kind], UNKNOWN, strict=True)
            low, high = (number(claim, end) if end else other for end, other in ends)
            row |= compare((low, high), enclosed, "" if kind == "f" else missing)
        verdicts.append(row)
    return verdicts


def main(arguments: list[str], read: Any = read_text, of: Any = Objective) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Check the claims of a proof against its data.")
    _ = parser.add_argument("proof"), parser.add_argument("data")
    parser.add_argument("--tolerance", type=float, default=0.0, help="to which a claim must hold")
    options = parser.parse_args(arguments)
    try:
        verdicts = judge(load(options.proof), read(options.data), of)
    except (BadInputError, OSError) as error:
        print(f"check: {error}", file=sys.stderr)
        return 4 if isinstance(error, OSError) else 3
    for row in verdicts:
        print(*(f"{name}: {value}" for name, value in row.items() if value is not None), sep="; ")
    return int(not all(row["tolerance"] <= options.tolerance for row in verdicts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
