"""What the records of a comparison hold; a module of :mod:`.records`."""

from __future__ import annotations

from typing import Any

from dadapt_cli.render.fields import (
    COUNT,
    DATA,
    ENVIRONMENT,
    MAYBE,
    NUMBER,
    REFERENCE,
    START,
    TEXT,
    Fields,
    Named,
    event,
    one_of,
)

LEVELS = ("1e-2", "1e-3", "1e-6")
"""The levels of :mod:`dadapt_cli.compare`, repeated because that needs NumPy."""

SCHEMA = (COUNT, "1; a renamed or removed key makes it 2.")


def _by_level(kind: Any, text: str) -> tuple[Any, str]:
    return {level: (kind, f"{level} of f(0) - f*.") for level in LEVELS}, text


PROBLEM: Fields = {
    **DATA,
    **{name: START["objective"][0][name] for name in ("loss", "l2", "bias", "intercept",
                                                      "weighted")},
    "scale": (TEXT, "`--scale`."),
}  # fmt: skip

CURVE_POINT: Fields = {
    "k": ("integer|null", "Steps made; null of an answer."),
    "gradients": (MAYBE, "Evaluations so far; null where nobody counts."),
    "passes": (MAYBE, "Passes over the data so far."),
    "seconds": (NUMBER, "So far, or of the run that gave the answer."),
    "f_last": (MAYBE, "f there."),
    "f_best": (MAYBE, "The least f so far."),
    "suboptimality": (MAYBE, "f_best - f*."),
    "relative": (MAYBE, "That over f(0) - f*."),
    "suboptimality_last": (MAYBE, "f_last - f*."),
    "grad_norm": (MAYBE, "Norm of the gradient."),
    "d": (MAYBE, "Where there is one."),
    "d_over_D": (MAYBE, "In the common norm."),
    "d_over_own_D": (MAYBE, "In its own."),
    "gap": (MAYBE, "Proven upper bound on f - inf f; null where it was not judged."),
    "tolerance": (MAYBE, "Of an answer: what was asked for."),
}

RUN: Fields = {
    "name": (TEXT, "As asked for, with its options."),
    "kind": (one_of("algorithm", "solver"), "Ours, or another's."),
    "library": ("string|null", "Whose, with its version; null of ours."),
    "options": ("object", "What it ran with, resolved; each library has names of its own."),
    "status": (TEXT, "As in the end record of a fit; of a solver `level`, `stopped` too."),
    "reason": ("string|null", "Why it failed or stopped early."),
    "gradients_to": _by_level(MAYBE, "Null: not reached, or unknown."),
    "passes_to": _by_level(MAYBE, "Likewise."),
    "seconds_to": _by_level(MAYBE, "Median over the repeats."),
    "spread_to": _by_level(MAYBE, "Half the distance between their quartiles."),
    "seconds_each": _by_level([MAYBE], "Of each repeat."),
    "f": (MAYBE, "At its answer."),
    "suboptimality": (MAYBE, "f - f*."),
    "relative": (MAYBE, "That over f(0) - f*."),
    "gap": (MAYBE, "Proven upper bound on f - inf f at its answer."),
    "gap_least": (MAYBE, "Proven lower bound."),
    "d": (MAYBE, "The last one."),
    "norm": ("string|null", "In which d is a distance."),
    "d_over_D": (MAYBE, "In the common norm."),
    "d_over_own_D": (MAYBE, "In its own."),
    "accuracy": (MAYBE, "On the training data, at its answer."),
    "log_loss": (MAYBE, "Likewise."),
    "labels_proven": (MAYBE, "Share of the labels proven to be the optimum's."),
    "k": ("integer|null", "Steps of the whole run."),
    "gradients": (MAYBE, "Of the whole run."),
    "passes": (MAYBE, "Of the whole run."),
    "seconds": (MAYBE, "Of the whole run: median."),
    "curve": ([CURVE_POINT], "At most 200 points, or an answer a tolerance."),
}

TIMES: Fields = {
    "load": (NUMBER, "Reading."),
    "reference": (NUMBER, "f*."),
    "solve": (NUMBER, "All that was timed."),
    "judging": (NUMBER, "Judging, none of it timed."),
}

VERDICT: Fields = {
    "problem": (PROBLEM, "What was solved."),
    "reference": (REFERENCE, "f*, D and their certificate."),
    "target": (
        {
            "kind": (one_of("certified", "given", "best-seen"), "What f* is."),
            "f_star": (NUMBER, "From which suboptimality is measured."),
            "gap": (MAYBE, "It is at most this much above inf f; null: nothing is proven."),
            "f_0": (NUMBER, "f(0)."),
        },
        "What is measured from.",
    ),
    "unit": (one_of("gradients", "passes"), "Of the first columns and the pictures."),
    "skipped": (
        [{"name": (TEXT, "As asked for."), "reason": (TEXT, "Why not.")}],
        "Not possible on this problem.",
    ),
    "level": (Named(LEVELS, null=True), "The finest that anybody reached."),
    "first": ("string|null", "Who reached it first."),
    "times": (
        [{"name": (TEXT, "Another."), "ratio": (MAYBE, "Its seconds over the first's."),
          "spread": (MAYBE, "With `--repeat`.")}],
        "The others' seconds to it.",
    ),
    "verdict": (TEXT, "The sentence."),
    "notes": ([TEXT], "What a reader should know."),
    "seconds": (TIMES, "Where the time went."),
}  # fmt: skip

PROFILE: Fields = {
    "level": (TEXT, "The finest that was reached on each problem."),
    "problems": (COUNT, "How many."),
    "solvers": (
        [{"name": (TEXT, "As asked for."), "reached": (COUNT, "Problems."),
          "ratios": ([NUMBER], "Seconds over those of the fastest, sorted.")}],
        "Of Dolan and Moré.",
    ),
    "?": ("null", "Of a single problem."),
}  # fmt: skip

_BEGIN: Fields = {
    "schema": SCHEMA,
    "command": (one_of("compare"), "`compare`."),
    "version": (TEXT, "Of this program."),
    "options": ("object", "Those that all runs share, as given."),
    "repeat": (COUNT, "Rounds."),
    "levels": ([TEXT], "Of the relative suboptimality."),
}

_ENVIRONMENT = (ENVIRONMENT, "What the digits may depend on.")

_END: Fields = {
    "profile": (PROFILE, "With several problems."),
    "seconds": ({**TIMES, "total": (NUMBER, "Everything.")}, "Where the time went."),
}

DOCUMENT: Fields = {
    **_BEGIN,
    "comparisons": ([{**VERDICT, "runs": ([RUN], "The fastest first.")}], "In the data's order."),
    "environment": _ENVIRONMENT,
    **_END,
}

BEGIN: Fields = {"event": event("start"), **_BEGIN, "environment": _ENVIRONMENT}
COMPARISON: Fields = {"event": event("comparison"), **VERDICT}
EVENT_RUN: Fields = {"event": event("run"), "path": DATA["path"], **RUN}
END: Fields = {"event": event("end"), **_END}


def _flat() -> Fields:
    """Return the fields of the CSV's header."""
    made: dict[str, tuple[Any, str]] = {"path": DATA["path"]}
    for name, (kind, text) in RUN.items():
        if name in ("options", "curve", "seconds_each"):
            continue
        if isinstance(kind, dict):
            made |= {f"{name}_{level}": (kind[level][0], text) for level in LEVELS}
        else:
            made[name] = (kind, text)
    return made


ROW = _flat()
