"""An option is declared once: command line, checks, who takes it, records and page follow."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import typer
from typer.main import get_command

from dadapt_cli import DAdaptClassifier, algorithms
from dadapt_cli.cli import application, docs, paper
from dadapt_cli.cli._options import Command, deferred
from dadapt_cli.cli._reading import Reading
from dadapt_cli.cli.fit import Wanted
from dadapt_cli.errors import UsageError
from dadapt_cli.objective import metric
from dadapt_cli.paper.protocol import Protocol
from dadapt_cli.solver.declared import FULL_BATCH, NAMED, declared, option, same
from dadapt_cli.solver.options import BUDGETS, OWN, Options, not_for

from ..conftest import Ran

Cli = Callable[..., Ran]


@dataclass(frozen=True, kw_only=True)
class More(Options):
    """The next options: these lines are all that it takes."""

    scratch: int = option(
        3, "How deep.", "--scratch", "-S", group="Algorithm", takers=FULL_BATCH, at_least=1
    )
    mode: Literal["soft", "hard"] = option("soft", "How.", group="Algorithm", takers=NAMED)
    level: str | float = option("auto", "Where.", group="Data", words=("auto",), below=2.0)


def parsed(cls: type, *argv: str) -> Any:
    """What a command whose only parameter is of type `cls` gets from a command line."""

    def main(made: Any) -> Any:
        return made

    main.__annotations__ = {"made": cls}
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(cls=Command)(deferred(main))
    return app(list(argv), standalone_mode=False)()


def test_the_next_option_is_on_the_command_line() -> None:
    assert parsed(More) == More()
    made = parsed(More, "-S", "7", "--mode", "hard", "--level", "1.5", "--weight", "2=0.5")
    assert made == More(scratch=7, mode="hard", level=1.5, weight={2: 0.5})
    assert asdict(made)["scratch"] == 7, "the records hold it"
    assert replace(made, scratch=8).scratch == 8


def test_the_next_option_is_checked() -> None:
    with pytest.raises(UsageError, match=r"^--scratch '0'; give a number of at least 1$"):
        More(algo="gd", scratch=0).check(["scratch"])
    with pytest.raises(UsageError, match=r"^--level 'low'; give auto or a number below 2$"):
        More(level="low").check()
    More(algo="gd", scratch=2, level=1.0).check(["scratch", "level"])


def test_the_next_option_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(UsageError, match="--scratch is not an option of --algo sgd; it takes"):
        More(algo="sgd").check(["scratch"])
    with pytest.raises(UsageError, match="--mode is not an option of --algo gd"):
        More(algo="gd").check(["mode"])
    gd = algorithms.find("gd").INFO
    assert "mode" in not_for(gd, More)
    naming = replace(gd, settings=(*gd.settings, "mode"))
    assert "mode" not in not_for(naming, More)
    assert "scratch" not in not_for(gd, More)


def test_the_next_option_is_on_the_page() -> None:
    page = docs.page(More)
    assert "| `--scratch`, `-S` | `3` | How deep. | a number of at least 1 | full-batch |" in page
    assert "| `--mode` | `soft` | How. | `soft`, `hard` | some |" in page
    assert page.index("How deep.") < page.index("## Budget"), "in its group"


def test_a_rule_that_no_option_has_is_an_error() -> None:
    @dataclass(frozen=True)
    class Wrong:
        level: float = option(0.0, "Where.", atleast=1.0)

    with pytest.raises(TypeError, match="atleast"):
        declared(Wrong)


HINT = "run python -m dadapt_cli.cli.docs"


@pytest.mark.parametrize("path", docs.pages(), ids=lambda path: path.name)
def test_the_pages_are_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == docs.pages()[path], (
        "run python -m dadapt_cli.cli.docs"
    )


def test_defaults_travel() -> None:
    """The command line, left alone, says what the library's defaults say."""
    assert parsed(Options) == Options()
    assert Options().check().INFO.name == Options().algo
    for name, value in asdict(parsed(paper.Run)).items():
        assert getattr(Protocol(), name) == value, name
    ours = inspect.signature(DAdaptClassifier).parameters
    shared = {name: ours[name].default for name in asdict(Options()) if name in ours}
    other = {name: v for name, v in shared.items() if v != getattr(Options(), name)}
    assert other == {
        "algo": "auto",
        "reference": "none",
        "tol": 1e-8,
    }, "the only defaults that the estimator has of its own"


def test_an_option_of_another_command_may_be_the_same() -> None:
    @dataclass(frozen=True)
    class Other:
        batch_size: int = same(Options, "batch_size")
        dtype: str = same(Options, "dtype", "float32", help="Of the arrays.")

    ours, theirs = declared(Options), declared(Other)
    assert theirs["batch_size"].help == ours["batch_size"].help
    assert (theirs["dtype"].default, theirs["dtype"].help) == ("float32", "Of the arrays.")
    assert theirs["batch_size"].group is None
    assert parsed(Other, "--batch-size", "4") == Other(batch_size=4)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"iterations": 0}, "--iterations '0'; give a number of at least 1"),
    ({"iterations": 2.5}, "--iterations 2.5; give an integer"),
    ({"algo": "orth", "memory": -1}, "--memory '-1'; give a number of at least 0"),
    ({"algo": "orth", "inner": "x"}, "--inner 'x'; choose from exact, newton"),
    ({"metric": "x"}, "--metric 'x'; choose from identity, half, diagonal"),
    ({"scale": "x"}, "--scale 'x'; choose from none, minmax, standard, unit"),
    ({"dtype": "x"}, "--dtype 'x'; choose from float64, float32"),
    ({"bound": "III"}, "--bound 'III'; choose from I, II, certified"),
    ({"algo": "safe", "bound": "I"}, "--bound 'I'; choose from certified"),
    (
        {"gradient_bound": 0.0},
        "--gradient-bound '0.0'; give auto or initial or lipschitz or a number above 0",
    ),
    ({"d0": 1e-200}, "--d0 '1e-200'; give auto or a number of at least 1e-100"),
    ({"d0": 1e-50, "dtype": "float32"}, "--d0 '1e-50'; give auto or a number of at least 1e-30"),
    ({"l2": True}, "--l2 'True'; give 1/n or a number of at least 0"),
    ({"l2": float("nan")}, "--l2 'nan'; give 1/n or a number of at least 0"),
    ({"weight": {3: -1.0}}, "--weight 3= '-1.0'; give a number of at least 0"),
    (
        {"reference": "x"},
        "--reference 'x'; give auto or always or none or a finite number",
    ),
    ({"every": 0}, "--every '0'; give log or auto or a number of at least 1"),
    ({"tol": 0.0}, "--tol '0.0'; give a number above 0"),
    ({"threads": 0}, "--threads '0'; give a number of at least 1"),
    ({"algo": "sgd", "momentum": 1.0}, "--momentum '1.0'; give a number in [0, 1)"),
    (
        {"algo": "adam", "betas": (0.9,)},
        "--betas '(0.9,)'; give two numbers in [0, 1) as 0.9,0.999",
    ),
    (
        {"algo": "adam", "schedule": "x"},
        "--schedule 'x'; choose from paper, constant, none, linear, cosine",
    ),
    (
        {"algo": "adam", "average": "x"},
        "--average 'x'; choose from none, uniform, weighted, poly8, schedule-free",
    ),
    ({"algo": "adam-plain"}, "--algo adam-plain needs --lr, a learning rate"),
    ({"algo": "adam-plain", "lr": 0.0}, "--lr '0.0'; give a number above 0"),
    ({"checkpoint_every": -1.0}, "--checkpoint-every '-1.0'; give a number of at least 0"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[m for _, m in WRONG])
def test_what_is_wrong_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Options(**options).check(options)


def test_numbers_of_numpy_are_numbers() -> None:
    Options(l2=np.float32(0.5), iterations=np.int64(3)).check()  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        Options(l2=np.bool_(True)).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("--betas", "0.9"), "--betas '0.9'; give two numbers, as 0.9,0.999"),
        (("--weight", "a=1"), "--weight 'a=1'; give LABEL=W, as -1=0.5"),
        (("--weight", "1=2", "--weight", "1=3"), "--weight '1=3': label 1 has a weight already"),
    ],
)
def test_what_cannot_be_read_is_said(typed: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        parsed(Options, *typed)


def test_algorithms_name_options_that_there_are() -> None:
    """What ``Info.settings`` names is declared as such, and nothing so declared is nobody's."""
    infos = [module.INFO for module in algorithms.table().values()]
    named = {name for name, one in declared(Options).items() if "named" in one.takers}
    assert {name for info in infos for name in info.settings} == named
    for info in infos:
        for name in {*info.settings} - {"gradient_bound", "d0"}:
            assert f"--{name.replace('_', '-')}" in info.options, (info.name, name)


def test_defaults_are_allowed() -> None:
    """The checks take that for granted of a value that is the default."""
    for one in declared(Options).values():
        if one.default is not None:
            replace(one, default=None).check(one.default)


def test_words_that_stand_elsewhere_are_the_declared_ones() -> None:
    assert tuple(metric.POWERS) == metric.METRICS == declared(Options)["metric"].choices


def test_what_a_resumed_run_may_change() -> None:
    assert set(BUDGETS) == {
        *("iterations", "epochs", "tol", "time_limit", "every", "threads"),
        *("stop_when_proven", "certificate", "memory_limit"),
    }
    assert set(OWN) == {"checkpoint", "resume", "restart", "checkpoint_every"}


@pytest.mark.parametrize("terminal", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_help_has_a_section_a_group(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, terminal: dict[str, str]
) -> None:
    for name, value in {"COLUMNS": "80", **terminal}.items():
        monkeypatch.setenv(name, value)
    out = cli("fit", "-h").out
    titles = ["Data", "Objective", "Algorithm", "Budget", "Output", "Durability", "Reading"]
    assert re.findall(r"^(\w+):$", out, re.MULTILINE) == [
        "Arguments",
        *titles,
        "Options",
        "Examples",
    ]
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "…" not in out
    flat = " ".join(out.split())
    for cls in (Options, Wanted, Reading):
        for one in declared(cls).values():
            assert one.help in flat, one.name
            for flag in one.flags or (f"--{one.typed}",):
                assert flag in flat, one.name


def test_help_shows_what_the_command_has(cli: Cli) -> None:
    assert "--max-ratio" in cli("check", "-h").out
    for command in ("check", "predict"):
        assert "--checkpoint" not in cli(command, "-h").out
    assert "Reading:" not in cli("paper", "figure2", "-h").out


def test_the_help_of_fit_is_that_of_the_declarations() -> None:
    fit = get_command(application()).commands["fit"]  # type: ignore[attr-defined]
    names = {name for cls in (Options, Wanted, Reading) for name in declared(cls)}
    assert {p.name for p in fit.params} - {"help"} == {"data", "json"} | names


@pytest.mark.parametrize(
    "module", ["dadapt_cli.solver.options", "dadapt_cli.cli", "dadapt_cli._typing"]
)
def test_declarations_need_no_numpy(module: str) -> None:
    code = (
        f"import sys, {module}; sys.exit('numpy' in sys.modules or 'rich.console' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man")
def test_man_shows_the_page() -> None:
    shown = subprocess.run(
        ["man", "-l", docs.FOLDER / "dadapt.1"],
        env={**os.environ, "MANWIDTH": "80", "PAGER": "cat", "MAN_KEEP_FORMATTING": ""},
        capture_output=True,
        check=True,
        text=True,
    )
    assert not shown.stderr
    assert "DADAPT FIT" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_every_command_has_two_examples_that_it_takes() -> None:
    """Parsed, not run; and no line wraps at 80 columns."""
    for path, command in leaves(get_command(application()), ()):
        assert len(command.examples) >= 2, path
        for line in command.examples:
            words = shlex.split(line.partition(" > ")[0])
            assert tuple(words[: len(path) + 1]) == ("dadapt", *path)
            assert len(line) <= 70  # in man too
            assert callable(application()(words[1:], prog_name="dadapt", standalone_mode=False))


def leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The commands that do something, with their names."""
    if not (subs := getattr(command, "commands", {})):
        yield path, command
    for name, sub in subs.items():
        yield from leaves(sub, (*path, name))


def test_the_parser_of_one_command_is_that_of_all() -> None:
    whole = get_command(application())
    for name, command in whole.commands.items():  # type: ignore[attr-defined]
        (alone,) = get_command(application(name)).commands.values()  # type: ignore[attr-defined]
        for one, other in zip(alone.params, command.params, strict=True):
            assert (one.name, one.opts, one.default) == (other.name, other.opts, other.default)
        assert getattr(alone, "commands", {}).keys() == getattr(command, "commands", {}).keys()
