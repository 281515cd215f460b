"""The parts of ``dadapt fit`` that concern model files and cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dadapt_cli.errors import ExitCode, NumericalError, UsageError
from dadapt_cli.solver.declared import declared

if TYPE_CHECKING:
    from dadapt_cli._typing import Label
    from dadapt_cli.cli._reading import Input
    from dadapt_cli.model.held_out import HeldOut, PackedHeldOut
    from dadapt_cli.solver.monitor import Monitor
    from dadapt_cli.solver.options import Options
    from dadapt_cli.solver.samples import Samples
    from dadapt_cli.solver.stages import FitResult, Tested


CHOOSE = "--choose is for --path with --cross-validate K; add what is missing"


def check_savable(path: str, scale: str, positive: Label | None = None, y: Any = ()) -> None:
    """Raise UsageError, before a fit, where the model's file format could not hold its result."""
    import numpy as np

    from dadapt_cli import model
    from dadapt_cli.preprocessing.labels import REST

    if model.text_format(path):
        rest = positive is not None and len(np.unique(y)) > 2
        model.liblinear.check(scale, (REST,) if rest else ())


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
    if "path" in given:
        raise UsageError("--path is not for packed data; fit each --l2, from --init the last one")
    if "cross_validate" in given:
        raise UsageError(
            "--cross-validate is not for packed data: folds are drawn from all samples; pack the "
            "parts and use --test"
        )


def held_out(tested: Any, *, strict: bool) -> HeldOut | PackedHeldOut:
    """Return the held-out samples, from LIBSVM text or from a packed folder."""
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


def check_several(
    given: list[str], path: str | None, count: int | None, *declarations: type
) -> list[str]:
    """Options for the algorithm to check; UsageError for those that several fits cannot use.

    No fold's model is kept, as with LIBLINEAR's -v; ``--save`` is for what folds choose of a path.
    """
    allowed = set() if path is None else {"test"} if count is None else {"save"}
    words = " and ".join(
        name for name, value in (("--path", path), ("--cross-validate", count)) if value is not None
    )
    for name in given:
        for one in (declared(cls).get(name) for cls in declarations):
            if path is not None and name in ("l2", "C"):
                raise UsageError(f"--{name} and --path both say what l2 is; leave one out")
            if one is None or one.folds or name in allowed:
                continue
            if name == "save" and path is not None:
                raise UsageError(
                    "--save with --path keeps what --cross-validate K chooses; add that, or give "
                    "one value with --l2 or -C"
                )
            raise UsageError(
                f"--{one.typed} is for a single fit; leave out --{one.typed} or {words}"
            )
    if "choose" in given and (path is None or count is None):
        raise UsageError(CHOOSE)
    return [name for name in given if name != "seed" or count is None]  # the folds use the seed too


def several(
    samples: Samples, options: Options, wanted: Any, monitor: Monitor, held_out: Tested
) -> int:
    """Fit along a path, in folds, or both, as the command's options say; return the exit code."""
    from dadapt_cli.model_selection.cross_validation import cross_validate
    from dadapt_cli.model_selection.path import Path, follow

    path = None if wanted.path is None else Path.parse(wanted.path)
    if wanted.cross_validate is None:
        assert path is not None
        done, signal = follow(samples, options, path, monitor, held_out)
    else:
        found = cross_validate(samples, options, wanted.cross_validate, monitor, path)
        done, signal = found.folds, found.signal
        place = found.best if wanted.choose == "best" else found.one_se
        if path is not None and wanted.save is not None and place is not None:
            _refit(samples, path.options(options)[place], wanted.save, monitor)
    if signal is not None:
        return 128 + signal
    return ExitCode.OK if all(options.met(r["status"]) for r in done) else ExitCode.CHECK


def _refit(samples: Samples, options: Options, save: str, monitor: Monitor) -> None:
    """Fit all of the data at the point that was chosen, as closely as the folds; keep the model."""
    from dataclasses import replace

    from dadapt_cli.model_selection.path import encode, tolerance
    from dadapt_cli.solver.monitor import Monitor
    from dadapt_cli.solver.stages import fit_source

    chosen = replace(tolerance(options, encode(samples, options)), reference="none")
    own = Monitor(progress=monitor.progress, interrupts=monitor.interrupts)
    with saving(save, monitor.note) as keep:
        result = keep(fit_source(samples, chosen, own))
    value = f"C = {options.C:g}" if options.C is not None else f"l2 = {options.l2:g}"
    gap = result.end["gap"]
    proven = "" if gap is None else f", f within {gap:.1e} of its minimum"
    monitor.note(f"{save}: the fit of all samples with {value}{proven}")
