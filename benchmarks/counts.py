"""Gradients to a relative suboptimality of 1e-2, 1e-3 and 1e-6, for every method.

    python benchmarks/counts.py [PROBLEM ...]

Problems, objective and f* are those of solve.py, with l2 = 1/n. A level counts as reached when a
point with (f - f*)/(f(0) - f*) at most it has been evaluated together with its gradient, line
searches included; "-": not within 1000. LIBLINEAR and scikit-learn's other solvers give no counts
comparable to these.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np
import sklearn.linear_model._logistic as logistic
from sklearn.linear_model import LogisticRegression
from solve import BASE, load, ours, scipys

import data
from dadapt_cli.compare.case import LEVELS, Case

LIMIT = 1000

SKLEARN = "sklearn lbfgs"

OURS: dict[str, dict[str, Any]] = {
    "orth": {"algo": "orth"},
    "orth newton": {"algo": "orth", "inner": "newton"},
    "orth m=3": {"algo": "orth", "memory": 3},
    "orth pairs=10": {"algo": "orth", "lbfgs_pairs": 10},
    "orth m=3 pairs=10": {"algo": "orth", "memory": 3, "lbfgs_pairs": 10},
    "auto": {"algo": "auto"},
    "newton": {"algo": "newton"},
    "lbfgs": {"algo": "lbfgs"},
    "lbfgs [half]": {"algo": "lbfgs", "metric": "half"},
    "safe": {"algo": "safe"},
    "dual-avg II": {"algo": "dual-avg", "bound": "II"},
    "dual-avg C [half]": {"algo": "dual-avg", "bound": "certified", "metric": "half"},
    "gd C [half]": {"algo": "gd", "bound": "certified", "metric": "half"},
    "adagrad C": {"algo": "adagrad", "bound": "certified"},
}


def sklearns(case: Case) -> list[float]:
    """f at each call of the objective of scikit-learn's lbfgs, as our Problem has it."""
    problem, values = case.problem, []
    original: Any = logistic.optimize.minimize

    def counted(function: Any, w0: Any, *args: Any, **more: Any) -> Any:
        def objective(flat: Any, *rest: Any) -> Any:
            w = flat.reshape(problem.shape[::-1], order="F").T if problem.softmax else flat
            values.append(problem.value_and_gradient(w).f)
            if len(values) >= LIMIT:
                raise StopIteration
            return function(flat, *rest)

        return original(objective, w0, *args, **more)

    logistic.optimize.minimize = counted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            LogisticRegression(fit_intercept=False, tol=1e-12, max_iter=LIMIT).fit(
                problem.X, problem.labels.index
            )
    except StopIteration:
        pass
    finally:
        logistic.optimize.minimize = original
    return values


def reached(case: Case, values: list[float]) -> list[int | None]:
    """The number of gradients to each level."""
    limits = [case.threshold(level) for level in LEVELS]
    hits = [next((i + 1 for i, f in enumerate(values) if f <= limit), None) for limit in limits]
    return [None if hit is None or hit > LIMIT else hit for hit in hits]


def main() -> None:
    names = sys.argv[1:] or [name for name in data.FILES if name not in ("usps", "mnist.t")]
    print(f"| problem | {SKLEARN} | {BASE} | " + " | ".join(OURS) + " |")
    print("|---" * (len(OURS) + 3) + "|")
    table: dict[str, list[list[int | None]]] = {}
    for name in names:
        case = load(name, 1.0)
        goal = case.threshold("1e-6")
        values = {SKLEARN: sklearns(case), BASE: [f for f, _ in scipys(case, goal, LIMIT)[0]]}
        for label, chosen in OURS.items():
            values[label] = [f for f, _ in ours(case, chosen, goal, LIMIT)[0]]
        found = {label: reached(case, run) for label, run in values.items()}
        for label, counts in found.items():
            table.setdefault(label, []).append(counts)
        cells = [
            "/".join("-" if k is None else str(k) for k in counts) for counts in found.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nGradients relative to {SKLEARN}, geometric mean (fewer/as many/more):")
    for label, rows in table.items():
        cells = []
        for i in range(len(LEVELS)):
            pairs = [(a[i], b[i]) for a, b in zip(rows, table[SKLEARN], strict=True)]
            ratios = [a / b for a, b in pairs if a is not None and b is not None]
            wins = sum(a is not None and (b is None or a < b) for a, b in pairs)
            ties = sum(a is not None and a == b for a, b in pairs)
            mean = math.exp(np.mean(np.log(ratios))) if ratios else math.nan
            partly = "" if len(ratios) == len(pairs) else f" on {len(ratios)}"
            cells.append(f"{mean:.2f}{partly} ({wins}/{ties}/{len(pairs) - wins - ties})")
        print(f"| {label} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
