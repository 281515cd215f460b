"""What the records of the paper's experiments hold; a module of :mod:`.records`."""

from __future__ import annotations

from dadapt_cli.render.fields import COUNT, MAYBE, NUMBER, REFERENCE, TEXT, TRUTH, Fields

MEANS: Fields = {
    "accuracy": (NUMBER, "Percent, mean over the seeds."),
    "se": (NUMBER, "Its standard error."),
    "log_loss": (MAYBE, "Mean over the seeds."),
}
FOUND: Fields = {
    **MEANS,
    "d": (MAYBE, "The learning rate found, mean over the seeds."),
    "d_std": (MAYBE, "Its standard deviation."),
}

PROTOCOL: Fields = {
    "problem": (TEXT, "LIBSVM's name of the file."),
    "title": (TEXT, "As the paper prints it."),
    "algorithm": (TEXT, "`--algo`."),
    "variant": (TEXT, "`--variant`."),
    "schedule": ("string|null", "`--schedule`; null where the algorithm has none."),
    "average": ("string|null", "`--average`."),
    "samples": (COUNT, "Rows."),
    "seeds": (COUNT, "Runs each."),
    "epochs": (COUNT, "Of each run."),
}

FIGURE2: Fields = {
    **PROTOCOL,
    "paper": (
        {
            "adam": (NUMBER, "Percent, as printed."),
            "adam_se": (NUMBER, "Its standard error."),
            "dadapt_adam": (NUMBER, "Percent, as printed."),
            "dadapt_adam_se": (NUMBER, "Its standard error."),
            "?": ("null", "Where the paper prints nothing."),
        },
        "The paper's numbers.",
    ),
    "dadapt_adam?": (FOUND, "Measured, by `--algo adam`."),
    "dadapt_sgd?": (FOUND, "Measured, by `--algo sgd`."),
    "dadapt_adagrad?": (FOUND, "Measured, by `--algo adagrad`."),
    "cocob?": (FOUND, "Measured, by `--algo cocob`."),
    "adam": (
        {
            "lr": (NUMBER, "The best of the grid."),
            **MEANS,
            "at_grid_edge": (TRUTH, "It is the first or the last of the grid."),
        },
        "Adam with its best learning rate.",
    ),
    "difference": (MAYBE, "Measured less printed, percent."),
    "difference_in_se": (MAYBE, "In standard errors of the difference."),
    "grid": ([{"lr": (NUMBER, "Learning rate of Adam."), **MEANS}], "Each learning rate."),
}

FIGURE7: Fields = {
    **PROTOCOL,
    "d0": ([{"d0": (NUMBER, "Where d begins."), **FOUND}], "Each d0."),
}

DESCENT: Fields = {
    "method": (TEXT, "The algorithm, and the point that its theorem is for."),
    "gradients_to": (
        dict.fromkeys(
            ("0.01", "0.001", "1e-06"),
            ("integer|null", "Gradients until then; null: not reached."),
        ),
        "By (f - f*)/(f(x_0) - f*).",
    ),
    "at_100": (MAYBE, "f - f* after 100 gradients."),
    "at_end": (MAYBE, "f - f* after all of them."),
    "d_over_D": (MAYBE, "The last d/D."),
    "gap_over_bound": (MAYBE, "The most that f - f* was of the proven bound."),
    "rejected": ("integer|null", "Points tried and not accepted."),
}  # fmt: skip

BEYOND: Fields = {
    "problems": (
        [
            {
                **{name: PROTOCOL[name] for name in ("problem", "title", "samples")},
                "descent": (
                    {
                        **{name: REFERENCE[name]
                           for name in ("status", "f_star", "gap", "D", "D_error")},
                        "gradients": (COUNT, "Of each run."),
                        "rows": ([DESCENT], "A row a method; none where f* is unknown."),
                    },
                    "Full-batch methods.",
                ),
                "schedules": (
                    {
                        **{name: PROTOCOL[name] for name in ("seeds", "epochs")},
                        "rows": (
                            [{"algorithm": PROTOCOL["algorithm"],
                              "schedule": (TEXT, "paper, linear or schedule-free."), **FOUND}],
                            "A row an algorithm and schedule.",
                        ),
                    },
                    "Minibatch algorithms.",
                ),
            }
        ],
        "In their order.",
    ),
    "least_absolute_deviations": (
        {
            "instances": (COUNT, "Random problems."),
            "gradients": (COUNT, "Of each run."),
            "rows": (
                [
                    {
                        "method": (TEXT, "The algorithm, and the point that its theorem is for."),
                        "ratio": (MAYBE, "f - f* over that of Algorithm 1, geometric mean."),
                        "better": (MAYBE, "Share of the problems on which it is below 1."),
                        "d_over_D_max": (MAYBE, "The largest last d/D."),
                        "d_over_D_median": (MAYBE, "Its median."),
                        "gap_over_bound": (MAYBE, "The most that f - f* was of the proven bound."),
                    }
                ],
                "A row a method.",
            ),
        },
        "Where f is not smooth.",
    ),
}  # fmt: skip

HELD_OUT: Fields = {
    "accuracy": (NUMBER, "Percent on the held-out rows, mean over the seeds."),
    "se": (MAYBE, "Its standard error; null for one seed."),
    "log_loss": (NUMBER, "On the held-out rows, mean over the seeds."),
}

CRITEO: Fields = {
    "folder": (TEXT, "FOLDER."),
    "synthetic": (TRUTH, "The data were made by --make."),
    "samples": (COUNT, "Rows trained on."),
    "test_samples": (COUNT, "Rows held out."),
    "features": (COUNT, "Columns that the fields are hashed into."),
    "clicks": (NUMBER, "Share of label 1 in the held-out rows."),
    **{name: PROTOCOL[name] for name in ("seeds", "epochs")},
    "batch_size": (COUNT, "Rows of a step."),
    "dadapt_adam": ({**HELD_OUT, "d": FOUND["d"]}, "D-Adapt Adam."),
    "adam": (
        {"lr": (NUMBER, "The best of the grid."), **HELD_OUT,
         "at_grid_edge": (TRUTH, "It is the first or the last of the grid.")},
        "Adam with its best learning rate.",
    ),
    "grid": ([{"lr": (NUMBER, "Learning rate of Adam."), **HELD_OUT}], "Each learning rate."),
}  # fmt: skip
