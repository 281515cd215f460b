"""What ``dadapt fit`` does about models: label weights, files, folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dadapt_cli.errors import ExitCode, NumericalError, UsageError

if TYPE_CHECKING:
    from dadapt_cli.solver.monitor import Monitor
    from dadapt_cli.solver.options import Options
    from dadapt_cli.solver.stages import FitResult, Samples

NOT_WITH_FOLDS = (
    *("save", "trace", "plot", "test", "reference"),
    *("checkpoint", "resume", "restart", "checkpoint_every"),
)
"""Options of a single fit: no fold's model is kept, as with LIBLINEAR's -v."""


def weights(texts: list[str]) -> dict[int, float]:
    """The weights of labels; their range is for the options to check."""
    found: dict[int, float] = {}
    for text in texts:
        label, _, factor = text.partition("=")
        try:
            if int(label) in found:
                raise UsageError(f"--weight {text[:40]!r}: label {label} has a weight already")
            found[int(label)] = float(factor)
        except ValueError:
            raise UsageError(f"--weight {text[:40]!r}; give LABEL=W, as -1=0.5") from None
    return found


def check_savable(path: str, scale: str, positive: int | None = None, y: Any = ()) -> None:
    """Raise UsageError, before a fit, where the model's file could not express what it finds."""
    import numpy as np

    from dadapt_cli import model

    if model.text_format(path):
        rest = positive is not None and len(np.unique(y)) > 2
        model.liblinear.check(scale, ("rest",) if rest else ())


@contextmanager
def saving(path: str | None, note: Callable[[str], None]) -> Iterator[Callable[..., FitResult]]:
    """Save the result that is handed over, or the last finite state of a fit that failed."""
    from dadapt_cli import model

    def keep(result: FitResult) -> FitResult:
        if path is not None:
            model.save(result.model, path)
            if model.text_format(path) and result.model.kind == "softmax":
                note(
                    f"{path}: LIBLINEAR's format is one against the rest: the labels are the same, "
                    "its probabilities are not those of softmax; .npz keeps them"
                )
        return result

    try:
        yield keep
    except NumericalError as error:
        if error.result is not None:
            keep(error.result)
        raise


def check_folds(given: list[str]) -> list[str]:
    """Options for the algorithm to check; UsageError for those that folds have no use for."""
    for name in given:
        if name in NOT_WITH_FOLDS:
            raise UsageError(
                f"--{name.replace('_', '-')} is for a single fit; leave it or --cross-validate out"
            )
    return [name for name in given if name != "seed"]  # here it is that of the folds too


def folds(samples: Samples, options: Options, count: int, monitor: Monitor) -> int:
    """Cross-validate; return the exit code."""
    from dadapt_cli.cross_validation import cross_validate

    done, signal = cross_validate(samples, options, count, monitor)
    if signal is not None:
        return 128 + signal
    met = options.tol is None or all(r["status"] in ("tolerance", "optimal") for r in done)
    return ExitCode.OK if met else ExitCode.CHECK
