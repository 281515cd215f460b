"""What records hold: each field declared once, for the JSON Schema and docs/records.md.

:mod:`.records` lists them, and :mod:`.fields_compared` has those of a comparison.

A field is its type and a sentence. A type is the words of JSON Schema with ``|`` between them, a
mapping (an object with these fields; ``?`` among them: or null), a list of one type, or a
:class:`Named` one. A field whose name ends in ``?`` may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Fields: TypeAlias = Mapping[str, tuple[Any, str]]

NUMBER, MAYBE = "number", "number|null"
COUNT, TEXT, TRUTH = "integer", "string", "boolean"


@dataclass(frozen=True)
class Named:
    """One of these words, an object of any names, or a list with items of a type; or null."""

    words: tuple[str, ...] = ()
    values: Any = None
    items: Any = None
    null: bool = False


def one_of(*words: str) -> Named:
    """One of these words."""
    return Named(words)


def event(name: str) -> tuple[Any, str]:
    """Return the field that tells which kind of record of a stream this is."""
    return one_of(name), f"`{name}`."


LABELS = (
    ["integer|string|boolean"],
    "In the order of the weights' columns; of two the second is +1.",
)

DATA: Fields = {
    "path": ("string|null", "As given; null in the library."),
    "problem": ("string|null", "LIBSVM's name of the file, where it is one of the 12."),
    "sha256": ("string|null", "Of the text, or of its content."),
    "samples": (COUNT, "Rows that count."),
    "features": (COUNT, "Columns as given."),
    "nonzeros": (COUNT, "Entries that are stored."),
    "classes": (COUNT, "Labels."),
    "labels": LABELS,
}

REFERENCE: Fields = {
    "status": (
        one_of("attained", "not-attained", "given", "none"),
        "Whether f* is a minimum, an infimum, `--reference`'s number, or unknown.",
    ),
    "f_star": (MAYBE, "The infimum of f lies in [f_star - gap, f_star]."),
    "gap": (MAYBE, "Proven, all rounding counted; 0 of a given f*."),
    "D": (MAYBE, "Distance from x_0 to the nearest minimiser, in the metric; null: infinite or "
          "unknown."),
    "D_inf": (MAYBE, "The same in the norm of the largest coordinate."),
    "D_error": (MAYBE, "Bound on the error of both."),
    "method": ("string|null", "How f* was computed."),
    "seconds": (MAYBE, "How long that took when it was."),
    "reason": ("string|null", "Why there is none, or what is to be known of this one."),
}  # fmt: skip

START: Fields = {
    "event": event("start"),
    "version": (TEXT, "Of this program."),
    "algorithm": (TEXT, "As after `--algo`."),
    "data": (DATA, "What was read."),
    "objective": (
        {
            "loss": (one_of("logistic", "softmax"), "Two classes, or more."),
            "l2": (NUMBER, "Weight of (l2/2) ||w||^2."),
            "l2_rule": ("string|null", "1/n or 1/(C n), unless it was given as a number."),
            "bias": (TRUTH, "A constant feature was appended."),
            "intercept": (TRUTH, "One that the l2 term leaves out."),
            "weighted": (TRUTH, "Samples have weights."),
        },
        "f(w).",
    ),
    "options": ("object", "All of them, defaults filled in; null where the algorithm has no use "
                "for one."),
    "d0": (MAYBE, "d before the first step; null where there is no d."),
    "d0_certified": (TRUTH, "d0 is proven not to exceed D."),
    "schema": (COUNT, "1; a renamed or removed key of a stable record makes it 2."),
    "metric": (one_of("identity", "half", "diagonal"), "In which d and D are distances."),
    "reference": (REFERENCE, "f*, D and their certificate."),
}  # fmt: skip

ROW: Fields = {
    "k": (COUNT, "Steps made: the row describes x_k and d_k."),
    "d": (MAYBE, "d_k; what it is the algorithm's description says."),
    "d_hat": (MAYBE, "The estimate that made d_k; null at row 0."),
    "step_size": (MAYBE, "The scalar that made x_k, where there is one."),
    "f_last": (NUMBER, "f(x_k)."),
    "f_average": (MAYBE, "f at the average of x_0..x_{k-1}, where the algorithm has one."),
    "f_best": (NUMBER, "The least f so far."),
    "suboptimality_last": (MAYBE, "f_last - f_star; null without a reference."),
    "suboptimality_average": (MAYBE, "f_average - f_star."),
    "suboptimality_best": (MAYBE, "f_best - f_star."),
    "bound": (MAYBE, "Proven upper bound on suboptimality_average (_best where there is no "
              "average); null where none is known."),
    "grad_norm": (NUMBER, "||gradient at x_k||, in the user's variables."),
    "gradients": (NUMBER, "Gradients of samples so far, that of x_k included, over the number of "
                  "samples: k + 1; of a minibatch algorithm the passes it made, without the "
                  "evaluations that are for the rows alone."),
    "d_over_D": (MAYBE, "d_k/D; null where D is infinite or unknown, or there is no d."),
    "rejected": ("integer|null", "Points tried so far and not accepted; null where an algorithm "
                 "rejects none. Those of `accel` cost a gradient each, those of `newton` none."),
    "epoch?": (COUNT, "Of minibatch algorithms: epochs made."),
    "bound_last?": (MAYBE, "Of `--schedule linear` where D is known: proven bound on "
                    "suboptimality_last."),
    "test_accuracy?": (MAYBE, "With `--test`: share of held-out samples classified right."),
    "test_log_loss?": (MAYBE, "With `--test`: their mean loss."),
}  # fmt: skip

STEP: Fields = {
    "event": event("step"),
    **ROW,
    "seconds": (NUMBER, "Of the loop, with its rows."),
}

ENVIRONMENT: Fields = {
    "python": (TEXT, "Version."),
    "numpy": (TEXT, "Version."),
    "scipy": (TEXT, "Version."),
    "platform": (TEXT, "System."),
    "machine": (TEXT, "Processor."),
    "cpus": ("integer|null", "Cores."),
    "threads": (COUNT, "Used."),
}

STATUSES = ("iterations", "tolerance", "time", "optimal", "proven", "precision", "interrupted",
            "failed")  # fmt: skip

END: Fields = {
    "event": event("end"),
    "status": (one_of(*STATUSES), "Why the run ended."),
    **ROW,
    "theorem2_k": ("integer|null", "t of Theorem 2's returned iterate."),
    "iterate": (one_of("last", "average", "best"), "The one with the least f: its weights are "
                "the result."),
    "accuracy": (NUMBER, "Share of training samples it classifies right."),
    "log_loss": (MAYBE, "Its mean loss without the l2 term."),
    "gap": (MAYBE, "Proven upper bound on f - inf f at the result."),
    "labels_proven": (MAYBE, "Share of the labels proven to be those of the exact optimum."),
    "diagnosis": ([TEXT], "Sentences: what a reader of the numbers would ask about."),
    "seconds": (
        {
            "load": (NUMBER, "Reading."),
            "reference": (NUMBER, "Preparing, and f*."),
            "solve": (NUMBER, "The loop."),
            "total": (NUMBER, "Everything."),
        },
        "Where the time went.",
    ),
    "environment": (ENVIRONMENT, "What the digits may depend on."),
}  # fmt: skip

FOLDS_START: Fields = {
    **{name: START[name] for name in ("event", "version", "algorithm", "data", "options")},
    "path": ("null", "There is none."),
    "folds": (COUNT, "K."),
    "schema": START["schema"],
}

FOLD: Fields = {
    "event": event("fold"),
    "fold": (COUNT, "1 to K."),
    "samples": (COUNT, "Left out."),
    "status": END["status"],
    "accuracy": (NUMBER, "On them."),
    "log_loss": (MAYBE, "On them."),
    "seconds": (NUMBER, "Of the fold."),
}

FOLD_MEANS: Fields = {
    "accuracy": (MAYBE, "Mean over the folds."),
    "accuracy_se": (MAYBE, "Its standard error."),
    "log_loss": (MAYBE, "Mean over the folds."),
    "log_loss_se": (MAYBE, "Its standard error."),
}

ALL_TIME: tuple[Any, str] = (
    {"load": (NUMBER, "Reading."), "total": (NUMBER, "Everything.")},
    "Where the time went.",
)

FOLDS_END: Fields = {
    "event": event("end"),
    "status": (one_of("folds", "interrupted"), "All folds were made, or not."),
    "folds": (COUNT, "Made."),
    **FOLD_MEANS,
    "seconds": ALL_TIME,
}

PLACE: Fields = {
    "l2": (MAYBE, "Weight of the l2 term; of a path over C null where folds differ in it."),
    "C": (MAYBE, "l2 = 1/(C n); null on a path over l2."),
}

PATH_START: Fields = {
    **{name: START[name] for name in ("event", "version", "algorithm", "data", "options")},
    "path": ([PLACE], "Its points, the strongest l2 first."),
    "folds?": (COUNT, "With `--cross-validate K`: K."),
    "schema": START["schema"],
}

POINT: Fields = {
    "event": event("point"),
    **PLACE,
    "k": END["k"],
    "status": END["status"],
    "f": (NUMBER, "The least f."),
    "gap": (MAYBE, "Proven upper bound on f - inf f."),
    "d": (MAYBE, "The last d; null where there is none."),
    **{name: END[name] for name in ("accuracy", "log_loss", "labels_proven")},
    **{name: ROW[name] for name in ("test_accuracy?", "test_log_loss?")},
    "seconds": (NUMBER, "Of the point."),
}

PATH_END: Fields = {
    "event": event("end"),
    "status": (one_of("path", "interrupted"), "All points were made, or not."),
    "points": (COUNT, "Made."),
    "seconds": ALL_TIME,
}

PATH_FOLD: Fields = {**FOLD, **PLACE}

PATH_FOLDS_POINT: Fields = {
    "event": event("point"),
    **PLACE,
    **FOLD_MEANS,
    "seconds": (NUMBER, "Of all folds."),
}

PATH_FOLDS_END: Fields = {
    **FOLDS_END,
    **dict.fromkeys(FOLD_MEANS, ("null", "Each point has its own.")),
    "best": ({**PLACE, "?": ("null", "")}, "With the least mean log-loss; null: unknown."),
    "one_se": ({**PLACE, "?": ("null", "")}, "The strongest l2 within its standard error."),
}

CHECK: Fields = {
    "path": (TEXT, "As given."),
    "samples": (COUNT, "Rows."),
    "features": (COUNT, "Columns."),
    "nonzeros": (COUNT, "Entries that are not 0."),
    "density": (NUMBER, "Their share."),
    "labels": (Named(values=COUNT), "Rows of each label."),
    "index_base": ("integer|null", "0 or 1, as it was read; null without entries."),
    "min_index": ("integer|null", "As in the file."),
    "max_index": ("integer|null", "As in the file."),
    "value_min": (MAYBE, "The least value."),
    "value_max": (MAYBE, "The largest value."),
    "empty_columns": (COUNT, "Without an entry that is not 0."),
    "constant_columns": (COUNT, "With the same entry in every row."),
    "empty_rows": (COUNT, "Without an entry that is not 0."),
    "duplicate_rows": (COUNT, "That are there more than once."),
    "duplicate_share": (NUMBER, "Their share."),
    "memory_bytes": (COUNT, "That the matrix takes."),
    "bytes": (COUNT, "Of the text."),
    "sha256": (TEXT, "Of the text."),
    "encoding": (TEXT, "Of the text."),
    "compression": ("string|null", "gzip, bzip2, xz or none."),
    "notes": ([TEXT], "What a reader should know."),
}

PACKED_CHECK: Fields = {
    **{name: CHECK[name] for name in (
        "path", "samples", "features", "nonzeros", "density", "labels", "index_base", "min_index",
        "max_index", "value_min", "value_max", "empty_columns", "empty_rows",
    )},
    "longest_row": (COUNT, "Entries."),
    "leaves": (COUNT, "Parts that are read one by one."),
    "leaf": (COUNT, "Entries from which a leaf is closed."),
    "sha256": (TEXT, "Of the packed data."),
    "text": (
        {name: CHECK[name] for name in ("sha256", "bytes", "encoding", "notes")},
        "What was packed.",
    ),
}  # fmt: skip

DATASET: Fields = {
    "name": (TEXT, "LIBSVM's name of the file."),
    "part": (TEXT, "Train, test or all of the data."),
    "rows": (COUNT, "Samples."),
    "features": (COUNT, "Columns."),
    "classes": (COUNT, "Labels."),
    "sha256": ([TEXT], "Of texts that are known."),
    "complete": (TRUTH, "No other text is right."),
    "title": ("string|null", "As the paper prints it."),
    "suffix": (TEXT, "Of the compressed file on LIBSVM's site."),
    "test": ("string|null", "The file of held-out samples."),
    "kind": (TEXT, "The folder on LIBSVM's site: binary or multiclass."),
    "paper": (TRUTH, "It is of the paper's experiments."),
    "nonzeros": ("integer|null", "Entries."),
    "bytes": ("integer|null", "Of the text."),
    "source": ("string|null", "Whose data."),
    "licence": ("string|null", "Under which terms."),
    "url": ("string|null", "Where it is fetched from."),
    "pinned": ("string|null", "sha256 of what was fetched first."),
    "path": ("string|null", "On disk; null: it is not."),
    "place": ("string|null", "Which of the folders."),
    "verified": ("boolean|null", "With `--verify`: whether the text is right."),
}

VERDICT = (TEXT, "ok, better, new, skipped, changed, missing, worse, wrong or failed.")

REGRESS: Fields = {
    "schema": (COUNT, "Of this report."),
    "baseline": (TEXT, "The file compared with."),
    "passed": (TRUTH, "No run has a verdict of `bad`."),
    "updated": (TRUTH, "With `--update`."),
    "bad": ([TEXT], "Verdicts that fail the gate."),
    "runs": (
        [
            {
                "problem": (TEXT, "LIBSVM's name of the file."),
                "algo": ("string|null", "Null: nothing was run."),
                "l2": ("string|null", "As in the baseline."),
                "verdict": VERDICT,
                "message": ("string|null", "In words, where there are any."),
                "seconds": (NUMBER, "Of the run."),
                "figures": (
                    [
                        {
                            "figure": (TEXT, "Its name."),
                            "baseline": (MAYBE, "Before."),
                            "measured": (MAYBE, "Now."),
                            "change": (MAYBE, "Relative."),
                            "allowed": (MAYBE, "Most that it may differ by."),
                            "verdict": VERDICT,
                        }
                    ],
                    "What was compared.",
                ),
            }
        ],
        "A run a problem, algorithm and l2.",
    ),
}

VERIFY: Fields = {
    "model": (TEXT, "As given."),
    "data": (
        {"path": (TEXT, "As given."), "sha256": (TEXT, "Of the text."),
         "samples": (COUNT, "Rows."), "features": (COUNT, "Columns.")},
        "What was read.",
    ),
    "objective": (
        {
            "loss": (one_of("logistic", "softmax"), "Two classes, or more."),
            "l2": (NUMBER, "Weight of (l2/2) ||w||^2."),
            "bias": (TRUTH, "The last weight is a constant's."),
            "intercept": (TRUTH, "It is, and the l2 term leaves it out."),
            "scale": (TEXT, "`--scale`."),
            "weight": (Named(values=NUMBER), "`--weight`."),
            "labels": LABELS,
        },
        "f(w).",
    ),
    "f": ([MAYBE], "f at the model lies between these."),
    "f_star": ([MAYBE], "So does the infimum; null: unknown."),
    "gap": ([MAYBE], "f - f* lies between these."),
    "gap_alone": (MAYBE, "Upper bound on it from the model alone."),
    "labels_proven": ("integer|null", "Labels proven to be the optimum's."),
    "labels_proven_share": (MAYBE, "Their share."),
    "reason": ("string|null", "Why something is unknown."),
    "sentence": (TEXT, "The verdict in words."),
}  # fmt: skip

PROOF: Fields = {
    "proof": (TEXT, "The file."),
    "data": (TEXT, "The data."),
    "tolerance": (NUMBER, "By which a claim may be off."),
    "proven": (TRUTH, "Every claim is."),
    "claims": (["object"], "Each claim and its verdict."),
}
