"""docs/options.md, from the declarations: ``python -m dadapt_cli.docs`` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from dadapt_cli.cli._reading import Reading
from dadapt_cli.cli.fit import Wanted
from dadapt_cli.solver.checks import Range
from dadapt_cli.solver.declared import FULL_BATCH, MINIBATCH, Declared, declared
from dadapt_cli.solver.options import Options

PAGE = Path(__file__).parent.parent / "docs" / "options.md"

HEAD = """# Options of `dadapt fit`

Made by `python -m dadapt_cli.docs`; do not edit. In the library an option has underscores:
`dadapt.fit(X, y, lbfgs_pairs=10)`. One that the algorithm does not take is refused, not ignored;
where the last column says *some*, `dadapt algorithms` names them.
"""


def page(*declarations: type) -> str:
    """The page of the options that dataclasses declare: a table a group, in Markdown."""
    options = [one for cls in declarations for one in declared(cls).values()]
    groups = list(dict.fromkeys(one.group for one in options))
    options.sort(key=lambda one: groups.index(one.group))
    return "\n".join([HEAD, *_tables(options)])


def _tables(options: list[Declared]) -> Iterator[str]:
    for group, rows in groupby(options, key=lambda one: one.group):
        yield f"## {group}\n"
        yield "| option | default | meaning | values | algorithms |"
        yield "|---|---|---|---|---|"
        for one in rows:
            cells = (_names(one), _default(one), _plain(one.help), _values(one), _takers(one))
            yield f"| {' | '.join(cells)} |"
        yield ""


def _names(one: Declared) -> str:
    names = ", ".join(f"`{flag}`" for flag in one.flags or (f"--{one.typed}",))
    return f"{names} {one.metavar}" if one.metavar else names


def _default(one: Declared) -> str:
    return "" if one.default is None or one.holds(bool) else f"`{one.shown}`"


def _values(one: Declared) -> str:
    """What it may be, where that is declared."""
    words = [f"`{word}`" for word in one.choices or one.words]
    if one.words or one.limits:
        every = "each " if one.holds(Mapping) or one.holds(tuple) else ""
        words.append(f"{every}a {Range(**one.limits)}")
    return ", ".join(words)


def _takers(one: Declared) -> str:
    """The algorithms that take it."""
    if one.takers == FULL_BATCH + MINIBATCH:
        return "all"
    return ", ".join(kind.replace("named", "some") for kind in one.takers)


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([|*<_])", r"\\\1", text)


def main() -> None:
    """Write the page into the checkout."""
    PAGE.write_text(page(Options, Wanted, Reading), encoding="utf-8")


if __name__ == "__main__":
    main()
