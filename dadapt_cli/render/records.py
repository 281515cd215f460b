"""Every record, by name: what :mod:`.fields` and its siblings declare, and where it is printed."""

from __future__ import annotations

from dadapt_cli.render import fields, fields_compared, fields_paper
from dadapt_cli.render.fields import COUNT, MAYBE, TEXT, TRUTH, Fields

ALGORITHM: Fields = {
    **dict.fromkeys(("title", "theorem", "symbols", "d_means", "options"), (TEXT, "For people.")),
    "name": (TEXT, "As after `--algo`."),
    "distance": (fields.one_of("D", "D_inf"), "What d is compared with."),
    "bounds": ([TEXT], "Values of `--bound`, the default first."),
    "minibatch": (TRUTH, "It takes minibatches."),
    "settings": ([TEXT], "Options that only some algorithms take, and this one does."),
    "refuses": ([TEXT], "Options of its kind that mean nothing to it."),
    "averaging": ([TEXT], "Values of `--average`."),
    "scheduling": ([TEXT], "Values of `--schedule`."),
    "variants": ([TEXT], "Values of `--variant`."),
    "wants": ([TEXT], "What is computed for it before it starts."),
    "metric": (TEXT, "Default of `--metric`."),
    "averages": (TRUTH, "Its guarantee is for the average of the iterates."),
    "own_threads": (TRUTH, "It shares its products out among threads."),
    "resumable": (TRUTH, "A checkpoint can hold its state."),
}  # fmt: skip

PREDICTION: Fields = {
    "classes": (["integer|string|boolean"], "Of the model."),
    "labels": (["integer|string|boolean"], "One a sample."),
    "probabilities?": ([["number"]], "With `--probability`: a row a sample, in the order of the "
                       "classes."),
    "proven?": (["boolean"], "With `--proven`: it is proven the optimum's."),
    "accuracy": (MAYBE, "Share that agrees with the labels in the data; null without samples."),
    "log_loss": (MAYBE, "Mean over the samples; null where it is infinite or unknown."),
    "unknown_labels": (COUNT, "Samples whose label the model does not know."),
}  # fmt: skip

RECORDS: dict[str, tuple[Fields, str]] = {
    "start": (fields.START, "First line of `dadapt fit -f jsonl` and of `--trace`; stable."),
    "step": (fields.STEP, "A reported iteration: a line, a row of `-f csv`; stable."),
    "end": (fields.END, "Last line; stable."),
    "folds_start": (fields.FOLDS_START, "First line of `dadapt fit --cross-validate K`."),
    "fold": (fields.FOLD, "A fold."),
    "folds_end": (fields.FOLDS_END, "Last line."),
    "path_start": (fields.PATH_START, "First line of `dadapt fit --path`, with folds or without."),
    "point": (fields.POINT, "A point of it."),
    "path_end": (fields.PATH_END, "Last line."),
    "path_fold": (fields.PATH_FOLD, "A fold at a point of `--path` with `--cross-validate K`."),
    "path_folds_point": (fields.PATH_FOLDS_POINT, "A point of it, after all folds."),
    "path_folds_end": (fields.PATH_FOLDS_END, "Last line."),
    "compare": (fields_compared.DOCUMENT, "`dadapt compare -f json`, `--export FILE.json`."),
    "compare_start": (fields_compared.BEGIN, "First line of `dadapt compare -f jsonl`."),
    "comparison": (fields_compared.COMPARISON, "A line a DATA, its runs after it."),
    "run": (fields_compared.EVENT_RUN, "A line a run."),
    "compare_end": (fields_compared.END, "Last line."),
    "compare_row": (fields_compared.ROW, "A row of `dadapt compare -f csv`, `--export FILE.csv`."),
    "check": (fields.CHECK, "`dadapt check --json`, a line a file; stable."),
    "packed_check": (fields.PACKED_CHECK, "The same of a folder of `dadapt pack`."),
    "dataset": (fields.DATASET, "`dadapt datasets list --json`, a list of them."),
    "algorithm": (ALGORITHM, "`dadapt algorithms --json`, a list of them."),
    "prediction": (PREDICTION, "`dadapt predict -f json`."),
    "figure2": (fields_paper.FIGURE2, "`dadapt paper figure2 -f json` and `table1`, a list; "
                "stable."),
    "figure7": (fields_paper.FIGURE7, "`dadapt paper figure7 -f json`, a list."),
    "beyond": (fields_paper.BEYOND, "`dadapt paper beyond -f json`."),
    "criteo": (fields_paper.CRITEO, "`dadapt paper criteo -f json`."),
    "regress": (fields.REGRESS, "`dadapt regress -f json`."),
    "verify": (fields.VERIFY, "`dadapt verify DATA --model M -f json`."),
    "proof": (fields.PROOF, "`dadapt verify PROOF DATA -f json`."),
}  # fmt: skip
"""Name, fields, and where it comes from; a stable record keeps its keys while ``schema`` is 1."""

DOCUMENTS = {
    "fit": ("start", {"steps": "step"}, "end"),
    "folds": ("folds_start", {"folds": "fold"}, "folds_end"),
    "path": ("path_start", {"points": "point"}, "path_end"),
    "path_folds": ("path_start", {"folds": "path_fold", "points": "path_folds_point"},
                   "path_folds_end"),
}  # fmt: skip
"""Parts of ``fit -f json``: start, each key of a list with the record of its items, end."""

LISTS = ("dataset", "algorithm", "figure2", "figure7")
"""Records that are printed as a list."""
