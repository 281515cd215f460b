"""The house: imports run downwards, nothing goes in circles, and no room, module or call is large.

Every import counts, also one inside a function or for the type checker alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import dadapt_cli

HOUSE = Path(dadapt_cli.__file__).parent

FLOORS = (
    {"cli"},
    {"compare", "paper", "regress", "estimator", "model_selection", "render"},
    {"solver"},
    {"checkpoint", "algorithms", "reference", "model"},
    {"cluster", "packed", "certificate"},
    {"objective"},
    {"preprocessing", "datasets", "libsvm"},
    {"system"},
    {"errors", "_typing", "__init__"},
)
GROUND = {"system", "errors", "_typing", "__init__"}
ASIDE = {  # what draws and what proves may know less than what stands on their floor
    "render": GROUND,
    "certificate": GROUND | {"objective", "preprocessing", "libsvm"},
}
STANDS_ALONE = {  # they check the solvers' claims: they share no line with them
    "certificate.check": set[str](),
    "certificate.folder": {"certificate.check"},
}

ENTRIES, LINES, PARAMETERS = 24, 400, 7
ENTRY_POINTS = {
    "estimator.DAdaptClassifier.__init__",
    "libsvm.reader.load",
    "objective.Problem.__init__",
    "solver.fit",
}

KNOWN: set[str] = set()
"""What is not yet so. It only shrinks: what is no longer true must be taken out."""

Edges = set[tuple[str, str]]


def modules() -> dict[str, ast.Module]:
    """Syntax trees by name, without the package's own."""
    paths = {path.relative_to(HOUSE).with_suffix(""): path for path in HOUSE.rglob("*.py")}
    return {
        ".".join(name.parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for name, path in sorted(paths.items())
    }


def imports(trees: dict[str, ast.Module]) -> Edges:
    """Pairs of an importing and an imported module of the package."""
    found = set()
    for name, tree in trees.items():
        for node in ast.walk(tree):
            targets: list[str] = []
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relatively"
                targets = [f"{node.module}.{alias.name}" for alias in node.names]
            for target in targets:
                if target.split(".")[0] == "dadapt_cli":
                    inner = target.removeprefix("dadapt_cli").removeprefix(".") or "__init__"
                    while inner not in trees and inner != "__init__":
                        inner = inner.rpartition(".")[0] or "__init__"
                    found.add((name, inner))
    return {edge for edge in found if edge[0] not in ("__init__", "__main__", edge[1])}


def room(module: str) -> str:
    return module.split(".")[0]


def circular(edges: Edges) -> Iterator[tuple[str, str]]:
    """Edges that lie on a circle."""
    for start, end in sorted(edges):
        reached, fresh = {end}, {end}
        while fresh:
            fresh = {there for here, there in edges if here in fresh} - reached
            reached |= fresh
        if start in reached:
            yield start, end


def upwards(edges: Edges) -> Edges:
    """Imports that the floors do not allow."""
    level = {name: height for height, floor in enumerate(FLOORS) for name in floor}
    return {
        (one, other)
        for one, other in edges
        if other not in STANDS_ALONE.get(one, {other})
        or (
            (a := room(one)) != (b := room(other))
            and (level[b] < level[a] or b not in ASIDE.get(a, {b}))
        )
    }


def large(trees: dict[str, ast.Module]) -> Iterator[str]:
    """Functions with more than seven parameters, self not counted."""

    def walk(node: ast.AST, prefix: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}"
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                a = child.args
                given = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
                names = {arg.arg for arg in given if arg is not None} - {"self", "cls"}
                if len(names) > PARAMETERS and name not in ENTRY_POINTS:
                    yield name
            yield from walk(child, name)

    for name, tree in trees.items():
        if room(name) != "cli":
            yield from walk(tree, name)


def violations() -> Iterator[str]:
    trees = modules()
    edges = imports(trees)
    up = upwards(edges)
    yield from (f"{one} imports {other}" for one, other in up)
    yield from (f"{one} -> {other}: a circle of modules" for one, other in circular(edges))
    rooms = {(room(one), room(other)) for one, other in edges - up}
    rooms = {(one, other) for one, other in rooms if one != other}
    yield from (f"{one} -> {other}: a circle of rooms" for one, other in circular(rooms))
    yield from (f"{name} takes more than {PARAMETERS} parameters" for name in large(trees))
    for path in HOUSE.rglob("*.py"):
        if path.read_text().count("\n") > LINES:
            yield f"{path.relative_to(HOUSE)} has more than {LINES} lines"


def test_the_house_is_as_designed() -> None:
    found = set(violations())
    assert found - KNOWN == set(), "new"
    assert KNOWN - found == set(), "no longer so: take them out of KNOWN"


def test_the_top_level_is_small_and_every_room_has_a_floor() -> None:
    entries = {path.stem for path in HOUSE.iterdir()} - {"py", "__pycache__"}  # and py.typed
    assert len(entries) <= ENTRIES
    assert entries - set().union(*FLOORS) == {"__main__"}


@pytest.mark.parametrize(
    ("edges", "wrong"),
    [
        ({("cli.fit", "solver.stages"), ("solver.stages", "algorithms._base")}, set()),
        ({("objective.losses", "solver.options")}, {("objective.losses", "solver.options")}),
        ({("render.table", "algorithms")}, {("render.table", "algorithms")}),
        ({("certificate.check", "errors")}, {("certificate.check", "errors")}),
        ({("certificate.folder", "certificate.check")}, set()),
        ({("certificate.folder", "errors")}, {("certificate.folder", "errors")}),
        ({("certificate.folder", "packed.format")}, {("certificate.folder", "packed.format")}),
        (
            {("certificate.folder", "certificate.proof")},
            {("certificate.folder", "certificate.proof")},
        ),
        ({("certificate.write", "objective"), ("solver.fit", "certificate.write")}, set()),
    ],
)
def test_what_runs_upwards_is_found(edges: Edges, wrong: Edges) -> None:
    assert upwards(edges) == wrong


def test_circles_are_found() -> None:
    assert not list(circular({("a", "b"), ("b", "c"), ("a", "c")}))
    circle = {("a", "b"), ("b", "c"), ("c", "a")}
    assert set(circular(circle | {("a", "d")})) == circle


def test_imports_and_parameters_are_read_wherever_they_stand() -> None:
    def parsed(text: str) -> dict[str, ast.Module]:
        return {"a": ast.parse(text), "b": ast.parse(""), "c.d": ast.parse("")}

    inside = "def f():\n    from dadapt_cli.b import x\n    import dadapt_cli.c.d as y"
    assert imports(parsed(inside)) == {("a", "b"), ("a", "c.d")}
    assert imports(parsed("from dadapt_cli.c import d")) == {("a", "c.d")}
    assert imports(parsed("from dadapt_cli import __version__")) == {("a", "__init__")}

    def names(taken: Iterable[str]) -> list[str]:
        return list(large(parsed(f"class C:\n    def f(self, {', '.join(taken)}): ...")))

    assert names("abcdefg") == []
    assert names("abcdefgh") == names([*"abcdef", "*g", "**h"]) == ["a.C.f"]
