"""A fit on a packed folder: the options allowed, and the problem that is fitted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dadapt_cli.algorithms import Info, auto, newton
from dadapt_cli.algorithms._subspace import STEPS
from dadapt_cli.cluster.local import Local
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.objective import cores
from dadapt_cli.packed.batches import buffer_bytes
from dadapt_cli.packed.check import require_classes
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.kept import lead_bytes, margin_bytes, search_bytes, work_bytes
from dadapt_cli.packed.objective import Packed, classes_of, require_memory
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.sums import Engine
from dadapt_cli.preprocessing.prepare import Prepared
from dadapt_cli.preprocessing.scaling import Scaling
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.start import l2_of

REFUSED = {
    "scale": "the values are on disk as they are; scale the text before it is packed",
    "weight": "samples count alike",
    "stop_when_proven": "labels are not proven on packed data",
}
"""Options that packed data do not take, and why."""


KEEPING = ("newton", "orth")
"""Methods that keep numbers for each sample, in the process that has it."""


def check(options: Options, info: Info, job: Any = None) -> None:
    """Refuse options that packed data do not take.

    Parameters
    ----------
    job
        The processes that share the work, or None.

    Raises
    ------
    UsageError
        Names the option and the reason.
    """
    for name, reason in REFUSED.items():
        if getattr(options, name) != getattr(Options(), name):
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} is not for packed data: {reason}")
    if info.minibatch and job is not None:
        raise UsageError(
            f"--algo {options.algo} is not for --cluster: one process makes its steps, one after "
            "the other; leave --cluster and --workers out"
        )
    if "problem" in info.wants and info.name not in KEEPING:
        raise UsageError(
            f"--algo {options.algo} is not for packed data: it keeps a number for each sample; "
            "take newton, dual-avg, lbfgs, accel or another that does not"
        )
    _check_proofs(options, job)


def _check_proofs(options: Options, job: Any) -> None:
    """Refuse what would need proofs that packed data do not have."""
    l2 = l2_of(options, 1.0) > 0
    always = options.reference == "always"
    if options.certificate is not None and not always:
        raise UsageError(
            "--certificate on packed data is of what --reference always finds; give both, and --l2"
        )
    wanted = always or (options.tol is not None and isinstance(options.reference, str))
    if wanted and (not l2 or options.intercept):
        name = "--reference always" if always else "--tol"
        raise UsageError(
            f"{name} on packed data is proven by the l2 term alone: give --l2 1/n (and --bias in "
            "place of --intercept), or --reference a number"
        )
    if always and options.dtype != "float64":
        raise UsageError("--reference always on packed data reads them as float64; give --dtype")
    if always and job is not None and not getattr(job, "keeps", False):
        raise UsageError(
            "--reference always keeps numbers for each sample, which these processes do not; give "
            "--reference a number or none"
        )


def keeping(settings: Settings, info: Info, options: Options, data: Data) -> Settings:
    """The settings with the bytes that a method keeps, and the search for the reference."""
    columns = settings.n_classes if settings.n_classes > 2 else 1
    unknowns = (data.shape[1] + settings.bias) * columns
    sample = leaf = lead = 0
    if info.minibatch:
        lead = buffer_bytes(data, settings)
    if info.name == "orth":
        own = options.resolved(info)
        directions = STEPS + own.memory + (own.lbfgs_pairs > 0)
        sample = search_bytes(settings, directions)
        lead = 8 * unknowns * (directions + 3 * own.lbfgs_pairs + 8)
    if info.name == "newton" or options.reference == "always":
        sample += margin_bytes(settings)
        leaf, lead = work_bytes(settings), lead + lead_bytes(data, unknowns)
    return replace(settings, sample_bytes=sample, leaf_bytes=leaf, lead_bytes=lead)


def prepared(data: Data, options: Options, info: Info, job: Any = None) -> tuple[Prepared, Packed]:
    """The data as a fit needs them, and the objective.

    Parameters
    ----------
    job
        The processes that share the work, a :class:`~dadapt_cli.cluster.mpi.Job`; None: this one.

    Raises
    ------
    DataError
        There is one class, or not enough memory for the leaves.
    UsageError
        No row has the label of ``positive``.
    """
    require_classes(data)
    labels, numbers = classes_of(data, options.positive)
    settings = Settings(
        dtype=options.dtype,
        bias=options.bias or options.intercept,
        classes=numbers,
        threads=options.threads or (cores() if job is None else job.threads),
        hold=False,
    )
    settings = _with_room(settings, info, options, data, job)
    engine: Engine
    engine = Local(data, settings) if job is None else job.engine(data, settings)
    l2 = l2_of(options, data.shape[0])
    problem = Packed(data, labels, engine, settings, l2=l2, intercept=options.intercept)
    return Prepared(data, labels, None, Scaling()), problem


def _with_room(settings: Settings, info: Info, options: Options, data: Data, job: Any) -> Settings:
    """The settings with what the method keeps, and whether the leaves fit beside it.

    ``auto`` gets room for ``newton`` where there is some, or where a checkpoint must not depend on
    how much there is.
    """
    size, beside = (1, 1) if job is None else (job.size, job.beside)
    if info.name != auto.INFO.name:
        own = keeping(settings, info, options, data)
        return replace(own, hold=require_memory(data, own, size, beside))
    plain = keeping(settings, info, options, data)
    if options.metric is not None:
        return replace(plain, hold=require_memory(data, plain, size, beside))
    own = keeping(settings, newton.INFO, options, data)
    if options.checkpoint is not None or options.resume is not None:
        return replace(own, hold=require_memory(data, own, size, beside))
    try:
        return replace(own, hold=require_memory(data, own, size, beside))
    except DataError:
        return replace(plain, hold=require_memory(data, plain, size, beside))
