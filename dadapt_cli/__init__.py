"""Convex solver without a learning rate: D-Adaptation on LIBSVM data, with certificates.

The public names are imported when they are first used, so that ``dadapt --help`` does not pay
for NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dadapt_cli.compare import compare as compare
    from dadapt_cli.compare.result import Comparison as Comparison
    from dadapt_cli.estimator import DAdaptClassifier as DAdaptClassifier
    from dadapt_cli.libsvm import read_libsvm as read_libsvm
    from dadapt_cli.libsvm import write_libsvm as write_libsvm
    from dadapt_cli.packed.folder import opened as packed
    from dadapt_cli.solver import fit as fit
    from dadapt_cli.solver.stages import FitResult as FitResult

__version__ = "0.2.0"

_HOMES = {
    "Comparison": "dadapt_cli.compare.result",
    "DAdaptClassifier": "dadapt_cli.estimator",
    "FitResult": "dadapt_cli.solver.stages",
    "compare": "dadapt_cli.compare",
    "fit": "dadapt_cli.solver",
    "read_libsvm": "dadapt_cli.libsvm",
    "write_libsvm": "dadapt_cli.libsvm",
}

__all__ = [
    "Comparison",
    "DAdaptClassifier",
    "FitResult",
    "__version__",
    "compare",
    "fit",
    "packed",
    "read_libsvm",
    "write_libsvm",
]


def __getattr__(name: str) -> Any:
    if name == "packed":
        return import_module("dadapt_cli.packed")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "packed"})
