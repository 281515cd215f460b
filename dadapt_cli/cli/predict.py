"""``dadapt predict``."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dadapt_cli.cli._options import FORMATS, Format, Quiet
from dadapt_cli.cli._reading import Reading, require_input
from dadapt_cli.errors import DataError, ExitCode, UsageError
from dadapt_cli.solver.checks import choice
from dadapt_cli.solver.declared import same
from dadapt_cli.system.terminal import word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from dadapt_cli.model import Model, Verdict

    _Scored = tuple[Any, Any]

ROWS = 10_000
"""Number of rows that are formatted at once."""


@dataclass(frozen=True, kw_only=True)
class Strictly(Reading):
    """The reading options for data whose number of features is known."""

    strict: bool = same(
        Reading, "strict", help="Refuse another number of features, or a missing final newline."
    )


def main(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A LIBSVM file, or - for stdin.")],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="M", help="From fit --save, or LIBLINEAR's.")
    ],
    probability: Annotated[
        bool,
        typer.Option(
            "--probability", help="A line 'labels ...'; then each label and all probabilities."
        ),
    ] = False,
    proven: Annotated[
        bool, typer.Option("--proven", help="Add a column: 1 if the label is proven the optimum's.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write there, not to stdout."),
    ] = None,
    form: Format = "table",
    *,
    reading: Strictly,
    quiet: Quiet = False,
) -> int:
    """Predict labels, one a line, with a model of fit --save or of LIBLINEAR's train.

    Accuracy and log-loss against the labels in DATA go to stderr. With --json one document.

    Examples
    --------
    dadapt predict test.svm --model model.npz > labels
    dadapt predict test.svm --model model.npz --probability
    """
    how = reading.arguments()
    choice("format", form, FORMATS)
    found = require_input(data)
    require_input(model)
    if model == "-":
        raise UsageError("--model -: a model is read from a file; name it")

    from dadapt_cli import model as models
    from dadapt_cli.cli._messages import say
    from dadapt_cli.model.held_out import add_up, samples
    from dadapt_cli.system.files import atomic_write, check_output

    if output is not None:
        for path in (found.path, model):
            check_output(output, path)
    fitted = models.load(model, reading.max_bytes)
    if probability and fitted.kind == "svm":
        raise UsageError(
            f"--probability: {model} is a support vector machine, which has none; only labels"
        )
    if proven and fitted.ball is None:
        raise UsageError(
            f"--proven: {model} has no radius around the optimum; dadapt fit DATA --save M.npz, "
            "with an l2 term, keeps one"
        )
    read = found.samples(**how)
    verdicts: list[Verdict] = []
    said: list[str] = list(read.notes)

    def scored() -> Iterator[_Scored]:
        for X, y in [(read.X, read.y)] if read.folder is None else samples(read.folder):
            try:
                X, lines = fitted.conform(X, strict=reading.strict)
                scores = fitted.finite_scores(X)
            except DataError as error:
                raise DataError(str(error), found.path) from None
            verdicts.append(fitted.judge(scores, y))
            if len(verdicts) == 1:
                said.extend(lines)
            yield scores, fitted.proven(X) if proven else None

    writing: Any = atomic_write(output) if output else contextlib.nullcontext(sys.stdout.buffer)
    with writing as stream:
        if form == "json":
            names = ["labels"] + ["probabilities"] * probability + ["proven"] * proven
            verdict = _document(stream, fitted, names, scored, verdicts)
        else:
            for scores, marks in scored():
                _write(stream, fitted, scores, probability, marks, head=len(verdicts) == 1)
            verdict = add_up(verdicts)
        stream.flush()
    if not quiet:
        for line in (*said, _summary(verdict)):
            say(f"{found.path}: {line}")
    return ExitCode.OK


def _write(
    stream: BinaryIO,
    model: Model,
    scores: Any,
    probability: bool,
    marks: Any = None,
    *,
    head: bool,
) -> None:
    """Write the labels, with probabilities as LIBLINEAR's ``predict -b 1`` lays them out.

    `marks` says of each label whether it is proven: a last column of 0 and 1.
    """
    order = range(len(model.classes))
    if scores.ndim == 1:  # the class of positive scores first, as in the model's file
        order = order[::-1]
    if probability and head:
        names = " ".join(word(model.classes[i]) for i in order)
        stream.write(f"labels {names}{'' if marks is None else ' proven'}\n".encode())
    for start in range(0, len(scores), ROWS):
        part = slice(start, start + ROWS)
        rows = _rows(model, scores[part], list(order), probability)
        if marks is not None:
            rows = [f"{row} {mark:d}" for row, mark in zip(rows, marks[part].tolist(), strict=True)]
        stream.write(("\n".join(rows) + "\n").encode())


def _document(
    stream: BinaryIO,
    model: Model,
    names: list[str],
    scored: Callable[[], Iterator[_Scored]],
    verdicts: list[Verdict],
) -> Verdict:
    """Write one JSON document; a packed folder is read once for each of the lists in `names`."""
    import json
    import math

    from dadapt_cli.model.held_out import add_up

    def put(text: str) -> None:
        stream.write(text.encode())

    total = None
    for name in names:
        verdicts.clear()
        for scores, marks in scored():
            if len(verdicts) > 1:
                put(", ")
            elif total is None:
                put(f'{{"classes": {json.dumps(list(model.classes))}, "{name}": [')
            else:
                put(f', "{name}": [')
            put(json.dumps(_items(model, name, scores, marks), allow_nan=False)[1:-1])
        put("]")
        total = add_up(verdicts)
    assert total is not None
    known = total.samples > 0
    finite = known and math.isfinite(total.log_loss or 0.0)
    made = {
        "accuracy": total.accuracy if known else None,
        "log_loss": total.log_loss if finite else None,
        "unknown_labels": total.unknown,
    }
    put(f", {json.dumps(made, allow_nan=False)[1:]}\n")
    return total


def _items(model: Model, name: str, scores: Any, marks: Any) -> list[Any]:
    """What a list of the document says of these samples."""
    import numpy as np

    if name == "labels":
        return [model.classes[i] for i in model.decide(scores).tolist()]
    if name == "proven":
        return [bool(mark) for mark in marks.tolist()]
    listed: list[Any] = np.exp(model.log_probabilities(scores)).tolist()
    return listed  # in the order of the classes


def _rows(model: Model, scores: Any, order: list[int], probability: bool) -> list[str]:
    """Format one line per sample."""
    import numpy as np

    names = [word(label) for label in model.classes]
    rows = [names[i] for i in model.decide(scores).tolist()]
    if not probability:
        return rows
    p = np.exp(model.log_probabilities(scores))[:, order].tolist()
    return [" ".join([row, *(f"{v:.17g}" for v in own)]) for row, own in zip(rows, p, strict=True)]


def _summary(verdict: Verdict) -> str:
    if not verdict.samples:
        return "no samples"
    line = f"accuracy {100 * verdict.accuracy:.4f} % ({verdict.right} of {verdict.samples})"
    if verdict.log_loss is not None:
        line += f", log-loss {verdict.log_loss:.6f}"
    if verdict.unknown:
        line += f"; {verdict.unknown} labels that the model does not know count as wrong"
    return line
