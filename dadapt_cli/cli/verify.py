"""``dadapt verify``: the checker of proof files, and the referee of any solver's answer."""

from __future__ import annotations

import decimal
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dadapt_cli.cli._options import FORMATS, Format, Quiet, factors, number_or_word
from dadapt_cli.cli._reading import Reading, require_input
from dadapt_cli.errors import DataError, ExitCode, InputOutputError, UsageError
from dadapt_cli.solver.checks import choice
from dadapt_cli.system.terminal import printable

if TYPE_CHECKING:
    from dadapt_cli.objective import Problem
    from dadapt_cli.reference.referee import Judgement
    from dadapt_cli.solver.options import Options

OBJECTIVE = ("bias", "intercept", "scale", "positive")
"""Options of the objective that are passed on unchanged."""

WITH_PROOF = ("files", "tolerance", "output", "json", "quiet")
"""Parameters that a proof file does not contain itself."""


def main(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(metavar="[PROOF] DATA", help="A proof and its data; DATA with --model."),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="M",
            help="Judge this answer: LIBLINEAR's model, .npz, .npy or a text matrix of weights.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(metavar="T", help="Accept claims that are off by T, or a gap of T."),
    ] = None,
    l2: Annotated[
        str | None,
        typer.Option(help="Weight of (l2/2)||w||^2: a number or 1/n; default: M's, or 1/n."),
    ] = None,
    bias: Annotated[
        bool, typer.Option("--bias", help="M ends in the weight of a constant.")
    ] = False,
    intercept: Annotated[
        bool, typer.Option("--intercept", help="The same, without an l2 penalty.")
    ] = False,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL=W", help="A label's samples count W times; repeatable."),
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="none, minmax, standard or unit, as fit's; default: M's.")
    ] = None,
    positive: Annotated[
        int | None, typer.Option(metavar="LABEL", help="This label against the rest.")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="auto, always: use f* as well; none: M alone.")
    ] = "auto",
    output: Format = "table",
    *,
    reading: Reading,
    quiet: Quiet = False,
) -> int:
    """Check a proof of fit --certificate, or prove how far an answer M is from the optimum.

    Exit code 1 if a claim is not proven, or if the gap of an answer exceeds --tolerance.

    Examples
    --------
    dadapt verify iris.proof iris
    dadapt verify iris --model liblinear.model --tolerance 1e-6
    """
    choice("format", output, FORMATS)
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise UsageError(f"--tolerance {tolerance}: give a finite number of at least 0")
    given = {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) and source.name != "DEFAULT"
    }
    if model is None:
        for name in given:
            if name not in WITH_PROOF:
                raise UsageError(
                    f"--{name.replace('_', '-')} is for --model; a proof says it itself"
                )
        return _check(files, tolerance or 0.0, output)
    if len(files) != 1:
        raise UsageError(f"--model judges one DATA, {len(files)} files were given")
    how = reading.arguments()
    found = require_input(files[0])
    if require_input(model).path == "-":
        raise UsageError("--model -: weights are read from a file; name it")
    if reference not in ("auto", "always", "none"):
        raise UsageError(f"--reference {reference[:40]!r}; choose from auto, always, none")

    from dadapt_cli.cli import _referee
    from dadapt_cli.cli._messages import log_lines, print_json, say
    from dadapt_cli.reference.referee import judge

    log_lines(quiet=quiet)
    asked: dict[str, Any] = {}
    asked |= {name: given[name] for name in OBJECTIVE if name in given}
    if l2 is not None:
        asked["l2"] = number_or_word(l2)
    if weight:
        asked["weight"] = factors("weight", weight)
    answer = _referee.read(model)
    wanted = _referee.options(answer, asked)
    loaded = found.load(**how)
    problem, w, notes = _referee.problem(answer, loaded, wanted)
    if not quiet:
        for line in (*loaded.notes, *notes):
            say(f"{found.path}: {line}")
    judgement = judge(problem, w, reference)
    sentence = _sentence(model, judgement, problem, wanted)
    if output == "json":
        print_json(
            {
                "model": model,
                "data": {"path": found.path, "sha256": loaded.sha256, "samples": problem.n,
                         "features": problem.p - problem.bias},
                "objective": {"loss": "softmax" if problem.softmax else "logistic",
                              "l2": problem.l2, "bias": wanted.bias, "intercept": wanted.intercept,
                              "scale": wanted.scale, "weight": wanted.weight,
                              "labels": list(problem.labels.classes)},
                "f": judgement.f,
                "f_star": judgement.f_star,
                "gap": judgement.gap,
                "gap_alone": judgement.alone,
                "labels_proven": judgement.proven,
                "labels_proven_share": judgement.share,
                "reason": judgement.reason,
                "sentence": sentence,
            }
        )  # fmt: skip
    else:
        typer.echo(_table(judgement, problem))
        typer.echo(printable(sentence))
    met = tolerance is None or judgement.gap[1] <= tolerance
    return ExitCode.OK if met else ExitCode.CHECK


def _check(files: list[str], tolerance: float, output: str) -> int:
    """Check a proof against its data."""
    if len(files) != 2:
        raise UsageError(f"give a PROOF and its DATA, or --model M; {len(files)} files were given")
    proof, data = (require_input(name).path for name in files)
    if proof == "-":
        raise UsageError("PROOF -: a proof is read from a file; name it")

    from dadapt_cli.certificate import check, folder
    from dadapt_cli.cli._messages import print_json

    try:
        document = check.load(proof)
        if Path(data).is_dir():
            verdicts = check.judge(document, data, folder.Folder)
        else:
            verdicts = check.judge(document, check.read_text(data))
    except folder.DamagedError as error:
        raise DataError(str(error)) from None
    except check.BadInputError as error:
        text = str(error)
        raise DataError(text if text.startswith((proof, data)) else f"{proof}: {text}") from None
    except OSError as error:
        raise InputOutputError(f"{error.filename or data}: {error.strerror or error}") from error
    proven = [row["tolerance"] <= tolerance for row in verdicts]
    if output == "json":
        print_json({"proof": proof, "data": data, "tolerance": tolerance, "proven": all(proven),
                     "claims": verdicts})  # fmt: skip
    else:
        for row in verdicts:
            typer.echo(printable(_line(row)))
        to = f" to {tolerance:g}" if tolerance else ""
        typer.echo(f"{sum(proven)} of {len(proven)} claims are proven{to}")
    return ExitCode.OK if all(proven) else ExitCode.CHECK


def _line(row: dict[str, Any]) -> str:
    """One claim and its verdict."""
    name = row["kind"] if row["k"] is None else f"{row['kind']} at k = {row['k']}"
    line = f"{name:<18}{row['verdict']:<22}"
    if "claimed" in row:
        claimed, found = (f"[{low:.17g}, {high:.17g}]" for low, high in
                          (row["claimed"], row["enclosed"]))  # fmt: skip
        line += f"claimed {claimed}, found {found}"
    return line.rstrip()


def _sentence(model: str, judgement: Judgement, problem: Problem, wanted: Options) -> str:
    """State the verdict on an answer in a sentence."""
    l2 = "1/n" if wanted.l2 == "1/n" else f"{problem.l2:.6g}"
    if math.isfinite(judgement.gap[1]):
        line = f"{model} is within {_rounded(judgement.gap[1])} of the optimum, proven (l2 = {l2})"
    else:
        line = f"{model}: nothing is proven about its distance to the optimum (l2 = {l2})"
    if judgement.share is None:
        return f"{line}; nothing about its labels: {judgement.reason}"
    if judgement.share == 1.0:
        return f"{line}; 100.0 % of its labels are the optimum's"
    shown = math.floor(1000 * judgement.share) / 10  # never more than is proven
    return f"{line}; at least {shown:.1f} % of its labels are the optimum's"


def _rounded(value: float, rounding: str = decimal.ROUND_CEILING) -> str:
    """Two digits, rounded up or down, so that a bound remains a bound."""
    two = decimal.Context(prec=2, rounding=rounding)
    return f"{float(two.create_decimal_from_float(value)):.2g}"


def _table(judgement: Judgement, problem: Problem) -> str:
    least = _rounded(judgement.gap[0], decimal.ROUND_FLOOR)
    entries = {
        "f(w)": _interval(judgement.f),
        "f*": _interval(judgement.f_star),
        "gap": f"at most {_rounded(judgement.gap[1])}, at least {least}",
        "gap from w alone": f"at most {_rounded(judgement.alone)}",
        "labels proven": "unknown" if judgement.proven is None
        else f"{judgement.proven} of {problem.n}",
    }  # fmt: skip
    return "\n".join(f"{name:<18}{value}" for name, value in entries.items())


def _interval(ends: tuple[float, float]) -> str:
    """Format an interval: its certain digits, and the half width rounded up."""
    low, high = ends
    half = (high - low) / 2
    if not math.isfinite(half) or half > 0.1 * high:
        return f"in [{low:.3g}, {high:.3g}]"
    digits = max(0, min(17, -math.floor(math.log10(half)))) if half > 0 else 17
    return f"{(low + high) / 2:.{digits}f} +- {1.01 * half + 0.6 * 10.0**-digits:.1e}"
