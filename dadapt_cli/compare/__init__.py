"""Several algorithms and other solvers on one problem, and what each is proven to have reached.

The package can be called itself: ``dadapt_cli.compare(X, y, ["newton", "lbfgs"])``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dadapt_cli.compare.result import Comparison


def compare(
    X: Any,
    y: Any,
    algo: str | Iterable[str] = ("newton", "lbfgs"),
    *,
    others: str | Iterable[str] = (),
    repeat: int = 1,
    sample_weight: Any = None,
    **options: Any,
) -> Comparison:
    """Compare algorithms and other solvers on one problem.

    Parameters
    ----------
    X, y, sample_weight
        As for :func:`dadapt_cli.fit`.
    algo
        Names from ``dadapt algorithms``, each optionally followed by options of its own:
        ``"orth:inner=newton"``.
    others
        ``"liblinear"``, ``"scikit-learn:lbfgs"``, ``"scipy:trust-ncg"``, ...
    repeat
        How often each is run.
    **options
        Of the data, the objective and the budget, as for :func:`dadapt_cli.fit`: l2, bias,
        intercept, scale, weight, positive, reference, iterations, epochs, tol, time_limit, threads.

    Returns
    -------
    Comparison
        Records, a table as its repr, pictures.

    Raises
    ------
    UsageError
        A name or an option that does not exist, or a solver that is not installed.
    DataError
        Data that cannot be used.
    """
    from dadapt_cli.compare.api import compare as made

    return made(X, y, algo, others=others, repeat=repeat, sample_weight=sample_weight, **options)


class _Room(ModuleType):
    """A module that is called as its function of the same name."""

    __call__ = staticmethod(compare)


sys.modules[__name__].__class__ = _Room
