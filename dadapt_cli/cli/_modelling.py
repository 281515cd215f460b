"""What ``dadapt fit`` does about models: files, folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dadapt_cli.errors import ExitCode, NumericalError, UsageError
from dadapt_cli.solver.declared import declared

if TYPE_CHECKING:
    from dadapt_cli.cli._reading import Input
    from dadapt_cli.model.held_out import HeldOut, PackedHeldOut
    from dadapt_cli.solver.monitor import Monitor
    from dadapt_cli.solver.options import Options
    from dadapt_cli.solver.samples import Samples
    from dadapt_cli.solver.stages import FitResult


def check_savable(path: str, scale: str, positive: int | None = None, y: Any = ()) -> None:
    """Raise UsageError, before a fit, where the model's file could not express what it finds."""
    import numpy as np

    from dadapt_cli import model

    if model.text_format(path):
        rest = positive is not None and len(np.unique(y)) > 2
        model.liblinear.check(scale, ("rest",) if rest else ())


def check_packed(found: Input, given: list[str]) -> None:
    """Refuse what a fit on a packed folder does not take, before anything is read.

    Raises
    ------
    UsageError
        The option and the reason are named.
    """
    if not found.packed:
        return
    for name in given:
        if name in ("zero_based", "features", "lenient", "max_bytes", "max_ratio"):
            raise UsageError(
                f"--{name.replace('_', '-')} is for text; {found.path} was read by dadapt pack"
            )
    if "cross_validate" in given:
        raise UsageError(
            "--cross-validate is not for packed data: folds are drawn from all samples; pack the "
            "parts and use --test"
        )


def held_out(tested: Any, *, strict: bool) -> HeldOut | PackedHeldOut:
    """The held-out samples, of text or of a folder."""
    from dadapt_cli.model.held_out import HeldOut, PackedHeldOut

    if tested.folder is not None:
        return PackedHeldOut(tested.folder, strict)
    return HeldOut(tested.X, tested.y, tested.path, strict)


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


def check_folds(given: list[str], *declarations: type) -> list[str]:
    """Options for the algorithm to check; UsageError for those that folds have no use for.

    No fold's model is kept, as with LIBLINEAR's -v.
    """
    for name in given:
        for one in (declared(cls).get(name) for cls in declarations):
            if one is not None and not one.folds:
                raise UsageError(
                    f"--{one.typed} is for a single fit; leave it or --cross-validate out"
                )
    return [name for name in given if name != "seed"]  # here it is that of the folds too


def folds(samples: Samples, options: Options, count: int, monitor: Monitor) -> int:
    """Cross-validate; return the exit code."""
    from dadapt_cli.cross_validation import cross_validate

    done, signal = cross_validate(samples, options, count, monitor)
    if signal is not None:
        return 128 + signal
    return ExitCode.OK if all(options.met(r["status"]) for r in done) else ExitCode.CHECK
