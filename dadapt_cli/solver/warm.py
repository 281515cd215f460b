"""The start x_0 from weights or from a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.errors import UsageError
from dadapt_cli.model import Model
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.scaling import Scaling


def weights(problem: Problem, scaling: Scaling, init: Any) -> Array:
    """The weights to start from, float64, in the shape of the problem's.

    Parameters
    ----------
    problem, scaling
        Of the fit.
    init
        A :class:`~dadapt_cli.model.Model`, or an array of weights for the scaled features.

    Raises
    ------
    UsageError
        They are those of another problem; what differs is named.
    """
    w = _of_model(problem, scaling, init) if isinstance(init, Model) else np.asarray(init)
    if w.shape != problem.shape:
        raise UsageError(f"init has the shape {w.shape}; the weights have {problem.shape}")
    if w.dtype.kind not in "fiu" or not np.isfinite(w).all():
        raise UsageError(f"init, of type {w.dtype}, has values that are not finite numbers")
    return w.astype(np.float64)


def _of_model(problem: Problem, scaling: Scaling, model: Model) -> Array:
    """The model's weights for the data's classes, features and divisors."""
    classes, p = problem.labels.classes, problem.p - problem.bias
    if set(model.classes) != set(classes):
        raise UsageError(f"--init: the model has the labels {_some(model.classes)}, "
                         f"the data {_some(classes)}")  # fmt: skip
    if (model.bias is not None) != problem.bias:
        one, other = ("a", "none") if model.bias is not None else ("no", "one")
        raise UsageError(f"--init: the model has {one} constant feature, this fit has {other}; "
                         "see --bias and --intercept")  # fmt: skip
    if model.scaling.kind != scaling.kind:
        raise UsageError(f"--init: the model was fitted with --scale {model.scaling.kind}, "
                         f"not {scaling.kind}")  # fmt: skip
    if model.n_features > p:
        raise UsageError(f"--init: the model has {model.n_features} features, the data {p}; "
                         f"--features {model.n_features} makes the others 0")  # fmt: skip
    old, w = model.w[: model.n_features], np.zeros((p, *model.w.shape[1:]))
    if scaling.divisors is not None and model.scaling.divisors is not None:
        old = (old.T * (scaling.divisors[: len(old)] / model.scaling.divisors)).T
    w[: len(old)] = old
    if model.bias is not None:
        w = np.concatenate([w, model.bias * model.w[-1:]])
    if w.ndim == 1:
        return w if model.classes == classes else -w
    return w[:, [model.classes.index(name) for name in classes]]


def _some(names: tuple[int | str, ...]) -> str:
    return ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
