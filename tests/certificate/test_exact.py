"""The checker's enclosures against 50 digits, on small problems drawn at random."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from dadapt_cli.certificate import check, proof
from dadapt_cli.certificate.proof import Claim

mp = pytest.importorskip("mpmath", reason="needs the extra 'verify'")

from tests.certificate.exact import DIGITS, Exact  # noqa: E402


class Drawn:
    """A random problem: its text, its parts for a proof, and its mathematics."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        C, n, p = int(rng.integers(2, 4)), int(rng.integers(9, 16)), int(rng.integers(1, 4))
        self.C, self.p = C, p
        spread = rng.integers(3)  # of the columns' scales: none, 10^+-2, 10^+-8
        scales = 10.0 ** rng.uniform(-1, 1, p) * 10.0 ** rng.uniform(-4 * spread, 4 * spread, p)
        table = rng.normal(size=(n, p)) * scales * (rng.random((n, p)) < 0.8)
        tokens = [[f"{v:.{rng.integers(1, 17)}g}" for v in row] for row in table]
        y = rng.integers(C, size=n)
        y[:C] = range(C)
        self.text = "".join(
            f"{label} " + " ".join(f"{j + 1}:{v}" for j, v in enumerate(row)) + "\n"
            for label, row in zip(y, tokens, strict=True)
        ).encode()
        self.l2 = float(rng.choice([0.0, 10.0 ** rng.uniform(-8, 1), 1.0 / n]))
        kind = rng.integers(3)
        self.bias, self.intercept = bool(kind == 1), bool(kind == 2)
        self.weights = rng.uniform(0.1, 3, n) if rng.random() < 0.4 else None
        self.scale: Any = [None, None, "unit", np.exp(rng.normal(size=p))][rng.integers(4)]
        rows = [[mp.mpf(v) for v in row] for row in tokens]
        if isinstance(self.scale, str):
            norms = [mp.sqrt(mp.fdot(r, r)) or mp.mpf(1) for r in rows]
            rows = [[v / norm for v in r] for r, norm in zip(rows, norms, strict=True)]
        elif self.scale is not None:
            rows = [
                [v / mp.mpf(float(d)) for v, d in zip(r, self.scale, strict=True)] for r in rows
            ]
        ridge = [mp.mpf(self.l2)] * p
        if self.bias or self.intercept:
            rows = [[*r, mp.mpf(1)] for r in rows]
            ridge.append(mp.mpf(0 if self.intercept else self.l2))
        c = [mp.mpf(1)] * n if self.weights is None else [mp.mpf(float(v)) for v in self.weights]
        self.exact = Exact(rows, y.tolist(), C, c, ridge)

    def parts(self, w: Any, x0: Any = None, metric: Any = None) -> tuple[Any, ...]:
        sha256 = hashlib.sha256(self.text).hexdigest()
        n = self.text.count(b"\n")
        return (
            proof.Data(sha256, n, self.p, list(range(self.C))),
            proof.Objective(self.l2, self.bias, self.intercept, self.scale, self.weights),
            proof.Witness(w, x0, metric),
        )

    def matrix(self, w: Any) -> Any:
        """Weights of the class-by-class column vector, as a proof has them."""
        flat = np.array([float(v) for v in w]).reshape(self.exact.columns, self.exact.p).T
        return flat[:, 0] if self.C == 2 else flat


def float_minimiser(drawn: Drawn) -> Any:
    """Damped Newton in 50 digits from 0; None where none is reached (separable, dependent)."""
    exact = drawn.exact
    w = mp.zeros(exact.p * exact.columns, 1)
    for _ in range(60):
        f, g, H = exact.losses(w)
        for i in range(H.rows):
            H[i, i] += mp.mpf(10) ** -30
        try:
            step = mp.lu_solve(H, g)
        except ZeroDivisionError:  # the curvature vanishes on the way to infinity
            return None
        t = mp.mpf(1)
        while t > 1e-6 and exact.losses(w - t * step)[0] > f:
            t /= 2
        w -= t * step
        if max(abs(v) for v in w) > 1e12:
            return None
        if mp.norm(step) < mp.mpf(10) ** -20 * (1 + mp.norm(w)):
            return w
    return None


@pytest.mark.parametrize("seed", range(24))
def test_enclosures_contain_the_value_in_50_digits(seed: int) -> None:
    mp.mp.dps = DIGITS
    drawn = Drawn(seed)
    rng = np.random.default_rng(1000 + seed)
    at = float_minimiser(drawn)
    if at is None:
        pytest.skip("no minimiser: separable, or columns that are dependent")
    w = drawn.matrix(at)
    w = w * (1 + rng.choice([0.0, 1e-12, 1e-7, 1e-4]) * rng.normal(size=w.shape))
    x0 = rng.normal(size=w.shape) if rng.random() < 0.3 else None
    claims = [Claim(k, 0.0, 1e300) for k in ("f_star", "D", "D_inf")] + [
        Claim("f", 0.0, 1e300, k=0)
    ]
    metric = 10.0 ** rng.uniform(-3, 1, len(w)) if rng.random() < 0.4 else None
    document = proof.document_of(*drawn.parts(w, x0, metric), claims)
    found = {row["kind"]: row for row in check.judge(document, drawn.text)}
    exact = drawn.exact
    point = mp.matrix([mp.mpf(float(v)) for v in np.reshape(w, (exact.p, -1)).T.ravel()])
    f = exact.losses(point)[0]
    f_star, best = exact.minimise(at)
    start = mp.matrix(
        [
            mp.mpf(float(v))
            for v in np.reshape(np.zeros_like(w) if x0 is None else x0, (exact.p, -1)).T.ravel()
        ]
    )
    away = best - start
    if exact.columns > 1:  # of the minimisers the one that is nearest to x0
        for j in range(exact.p):
            if exact.ridge[j] == 0:
                at_row = [a * exact.p + j for a in range(exact.columns)]
                mean = mp.fsum(away[i] for i in at_row) / exact.columns
                for i in at_row:
                    away[i] -= mean
    if metric is not None:
        for i in range(len(away)):
            away[i] /= mp.mpf(float(metric[i % exact.p]))
    values = {"f": f, "f_star": f_star, "D": mp.norm(away), "D_inf": max(abs(v) for v in away)}
    for kind, value in values.items():
        low, high = found[kind]["enclosed"]
        assert low < high
        assert mp.mpf(low) <= value <= mp.mpf(high), (kind, low, value, high)


def test_scores_that_cancel_are_wrong_by_no_more_than_is_said() -> None:
    """Columns that differ by 1e-9 and weights of 1e9: scores near 1 that are wrong by 1e-7."""
    mp.mp.dps = DIGITS
    rng = np.random.default_rng(0)
    for _ in range(20):
        first = rng.normal(size=20)
        tokens = [[f"{a:.15g}", f"{a + 1e-9 * b:.17g}"]
                  for a, b in zip(first, rng.normal(size=20), strict=True)]  # fmt: skip
        y = rng.integers(2, size=20)
        y[:2] = [0, 1]
        text = "".join(f"{c} 1:{a} 2:{b}\n" for c, (a, b) in zip(y, tokens, strict=True)).encode()
        w = np.array([1e9, -1e9 + rng.normal()])
        data = proof.Data(hashlib.sha256(text).hexdigest(), 20, 2, [0, 1])
        document = proof.document_of(
            data, proof.Objective(1e-30), proof.Witness(w), [Claim("f", 0.0, 1.0, k=0)]
        )
        exact = Exact([[mp.mpf(v) for v in row] for row in tokens], y.tolist(), 2,
                      [mp.mpf(1)] * 20, [mp.mpf(1e-30)] * 2)  # fmt: skip
        f, g, _ = exact.losses(mp.matrix([mp.mpf(float(v)) for v in w]))
        (low, high), found, error, _, _ = check.Objective(document, text).evaluate(w[:, None])
        assert mp.mpf(low) <= f <= mp.mpf(high)
        assert high - low < 1e-5
        for j in range(2):
            assert abs(mp.mpf(float(found[j, 0])) - g[j]) <= mp.mpf(float(error[j, 0]))
