"""Who is in control: the loop, which asks for steps, or a solver, which asks for gradients."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

from dadapt_cli._typing import Array
from dadapt_cli.errors import NumericalError

Result = TypeVar("Result")

Iterates: TypeAlias = Generator[Array, None, Result]
"""A loop that yields the gradient at x_k and continues once the state has moved to x_{k+1}."""


def drive(algorithm: Any, state: Any, iterates: Iterates[Result]) -> Result:
    """Run the loop to its end; return its result.

    An algorithm has a ``step(state, g)``, or a ``lead(state, iterates)`` that calls a foreign
    solver whose objective goes through :func:`advance`: no thread has to wait for another.
    """
    try:
        if hasattr(algorithm, "lead"):
            algorithm.lead(state, iterates)
        g = next(iterates)
        while True:
            g = advance(iterates, lambda at=g: algorithm.step(state, at))  # type: ignore[misc]
    except StopIteration as end:
        result: Result = end.value
        return result


def advance(iterates: Iterates[Any], step: Callable[[], None]) -> Array:
    """Make a step; return the gradient at the new point. A NumericalError is raised in the loop.

    Raises
    ------
    StopIteration
        The loop has ended.
    """
    try:
        step()
    except NumericalError as error:
        return iterates.throw(error)
    return next(iterates)
