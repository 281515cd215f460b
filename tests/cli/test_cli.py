"""The program as a whole: help, version, algorithms, and that everything is documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import dadapt_cli
from dadapt_cli import algorithms
from dadapt_cli.algorithms import names
from dadapt_cli.cli.docs import FOLDER

from ..conftest import DATA, Ran

Cli = Callable[..., Ran]


def test_bare_program_and_help(cli: Cli) -> None:
    for args in ((), ("-h",), ("--help",)):
        ran = cli(*args)
        assert ran.code == 0
        assert "fit" in ran.out
        assert "algorithms" in ran.out
    assert cli("fit", "-h").code == 0
    assert cli("algorithms", "-h").code == 0


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"dadapt {dadapt_cli.__version__}\n"


def test_module_and_script_are_the_same() -> None:
    for command in (
        [sys.executable, "-m", "dadapt_cli"],
        [str(Path(sys.executable).parent / "dadapt")],
    ):
        ran = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert ran.stdout == f"dadapt {dadapt_cli.__version__}\n"


def test_algorithms_lists_them_all(cli: Cli) -> None:
    out = cli("algorithms").out
    for name in names():
        assert re.search(rf"^{name}\b", out, re.MULTILINE), name
    assert "a lower bound on D_inf" in out


def test_typos_in_commands(cli: Cli) -> None:
    ran = cli("ftt")
    assert ran.code == 2
    assert "Did you mean 'fit'?" in ran.err


def test_every_option_is_documented(cli: Cli) -> None:
    options = set(
        re.findall(r"--[a-z0-9][a-z0-9-]+", cli("fit", "-h").out.partition("Examples")[0])
    )
    assert len(options) > 15
    page = (FOLDER / "options.md").read_text(encoding="utf-8")
    for option in options - {"--help", "--no-bias", "--json"}:
        assert f"`{option}`" in page, option


@pytest.mark.parametrize(
    ("commands", "heavy"),
    [
        ([["--help"], ["fit", "-h"], ["compare", "-h"]],
         {"numpy", "scipy", "sklearn", "matplotlib"}),
        ([["algorithms"], ["datasets", "list"]],
         {"numpy", "scipy", "sklearn", "pydantic", "http.client", "rich"}),
    ],
)  # fmt: skip
def test_help_and_lists_do_not_pay_for_libraries(
    commands: list[list[str]], heavy: set[str]
) -> None:
    code = (
        f"import sys; from dadapt_cli.cli import run; assert not any(map(run, {commands!r}));"
        f"sys.exit(bool({heavy!r} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=-3).returncode == 0


def test_an_algorithm_is_found_without_the_others() -> None:
    assert all(algorithms.find(name) is one for name, one in algorithms.table().items())
    assert algorithms.find("adagrad", "pip").INFO.name == "adagrad-pip"
    code = (
        "import sys; from dadapt_cli.algorithms import find; find('gd');"
        "sys.exit('dadapt_cli.algorithms.orth' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_options_do_not_pay_for_the_parsers_own_conversion() -> None:
    """typer imports pydantic for it. What it would say of a wrong value, it still says."""
    good = ["fit", str(DATA / "iris.scale"), "-n", "3", "--weight", "1=2", "--tol", "1", "-q"]
    wrong = [*good, "--epochs", "3.5"]
    code = (
        f"import sys; from dadapt_cli.cli import run; assert run({good!r}) == 0;"
        f"assert 'pydantic' not in sys.modules; sys.exit(run({wrong!r}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], stdout=-3, stderr=-1, text=True)
    assert ran.returncode == 2, ran.stderr
    assert "'--epochs'" in ran.stderr


def test_a_small_fit_imports_what_it_uses(tmp_path: Path) -> None:
    """Its f* known, and 12 unknowns, which NumPy factors; the other commands stay on disk."""
    fit = ["fit", str(DATA / "iris.scale"), "-a", "auto", "-q"]
    unused = [
        *("scipy.linalg", "scipy.optimize", "sklearn", "dadapt_cli.cli.compare"),
        *("dadapt_cli.packed.objective", "dadapt_cli.certificate.proof"),
        *("dadapt_cli.reference.newton", "dadapt_cli.reference.recession"),
    ]
    code = (
        f"import sys; from dadapt_cli.cli import run; assert run({fit!r}) == 0;"
        f"print(*set({unused!r}) & set(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "DADAPT_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", code]
    for loaded in ("dadapt_cli.reference.newton", ""):  # computed, and read
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert (ran.stderr.strip() != "") == (loaded != ""), ran.stderr


@pytest.mark.parametrize(("algo", "loaded"), [("newton", False), ("lbfgs", True)])
def test_scipys_optimisers_are_loaded_for_lbfgs_alone(algo: str, loaded: bool) -> None:
    fit = ["fit", str(DATA / "iris.scale"), "-a", algo, "-n", "3", "--reference", "none"]
    code = (
        f"import sys; from dadapt_cli.cli import run; assert run({fit!r}) == 0;"
        f"sys.exit(('scipy.optimize' in sys.modules) != {loaded})"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=-3).returncode == 0
