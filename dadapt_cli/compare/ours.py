"""Our own algorithms, run as ``dadapt fit`` runs them, and watched."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dadapt_cli._typing import Record
from dadapt_cli.algorithms import Info, find
from dadapt_cli.compare.case import Attempt, Case, Crossings, Point
from dadapt_cli.errors import NumericalError
from dadapt_cli.objective import metric
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.stages import fit_source
from dadapt_cli.solver.trace import finite

NEVER = 2**62
"""``--every``: no rows but the first and the last one, which every run has."""

NOT_OF_A_RUN = ("every", "certificate", "checkpoint", "resume", "restart", "checkpoint_every")
"""Options that no comparison has a use for."""


@dataclass(frozen=True)
class Ours:
    """An algorithm with its options."""

    kind: ClassVar[str] = "algorithm"
    library: ClassVar[str | None] = None
    name: str
    options: Options
    info: Info

    def unsuited(self, case: Case) -> str | None:
        """Refuse Polyak's step where f* is not known."""
        if "f_star" in self.info.wants and case.known.f_star is None:
            return "it needs f*, and there is no reference here"
        return None

    def warm_up(self, case: Case) -> None:
        """Make two steps."""
        few = replace(self.options, iterations=2, epochs=1)
        self._fit(few, replace(case, note=lambda line: None), Attempt())

    def run(self, case: Case) -> Attempt:
        """Run it once; the clock begins when the problem is made, so that metric, L and G count."""
        made = Attempt()
        result = self._fit(replace(self.options, every=NEVER), case, made)
        if result is None:
            return made
        made.status, made.signal = result.status, result.signal
        made.answer = result.w.astype("float64")
        made.options = {**result.start["options"], "algo": result.start["algorithm"]}
        for name in NOT_OF_A_RUN:
            made.options.pop(name, None)
        return made

    def _fit(self, options: Options, case: Case, made: Attempt) -> Any:
        """Fit, and put the points into `made`."""
        crossed, began, points = Crossings(case), [0.0], made.points

        def record(event: Record) -> None:
            if event["event"] == "start":  # the state before the first step is made
                began.append(time.perf_counter())

        def watch(now: Any, state: Any) -> None:
            epoch = now.epoch
            count = now.k + 1 if epoch is None else None
            passes = float(now.k + 1 if epoch is None else epoch)
            d = finite(state.d)
            points.append(Point(now.k, count, passes, now.elapsed, now.f, now.grad_square**0.5, d))
            if crossed(now.f):
                made.reached[len(points) - 1] = now.x.astype("float64")  # a copy

        def progress(k: int, d: float, f: float) -> None:
            case.progress(f"{self.name}: {'epoch' if self.info.minibatch else 'k'} = {k}")

        monitor = Monitor(
            record=record,
            note=lambda line: case.note(f"{self.name}: {line}"),
            watch=watch,
            progress=progress,
            interrupts=case.interrupts,
        )
        begin = time.perf_counter()
        try:
            result = fit_source(case.samples, options, monitor, known=case.known)
        except NumericalError as error:
            made.reason, result = str(error), error.result
            if result is None:
                made.status = "failed"
                return None
        finally:
            case.interrupts.patient = False
        # Preparation and reference are common to all; the time from there to x_0 is this method's.
        own = began[-1] - begin - result.end["seconds"]["reference"]
        points[:] = [replace(point, seconds=point.seconds + own) for point in points]
        made.seconds = points[-1].seconds if points else own
        made.metric = result.start["metric"]
        if (factors := metric.scale(case.problem, made.metric)) is not None:
            made.reached = {at: factors * x for at, x in made.reached.items()}
        ran = find(result.start["algorithm"], options.variant).INFO  # auto picks another
        made.norm = norm(ran, made.metric)
        return result


def norm(info: Info, measured: str) -> str | None:
    """In words, the norm in which d is measured; None where there is no d."""
    if not info.has_d:
        return None
    name = "inf" if info.distance == "D_inf" else "2"
    return name if measured == "identity" else f"{name}, metric {measured}"
