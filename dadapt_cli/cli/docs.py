"""The pages generated from declarations: ``python -m dadapt_cli.cli.docs`` writes them.

options.md has the options of ``fit``, commands.md the help of every command, dadapt.1 is the page
for man, records.md and records.schema.json have the keys of every record, algorithms.json is what
``dadapt algorithms`` says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from typer.main import get_command

from dadapt_cli import __version__, algorithms
from dadapt_cli.cli import app
from dadapt_cli.cli._reading import Reading
from dadapt_cli.cli.fit import Wanted
from dadapt_cli.compare.contenders import SHARED
from dadapt_cli.render import algorithms as listed
from dadapt_cli.render import fields, records, schema
from dadapt_cli.solver.checks import Range
from dadapt_cli.solver.declared import FULL_BATCH, MINIBATCH, Declared, declared
from dadapt_cli.solver.options import Options

FOLDER = Path(__file__).parent.parent.parent / "docs"

HEAD = """# Options of `dadapt fit`

Made by `python -m dadapt_cli.cli.docs`; do not edit. In the library an option has underscores:
`dadapt.fit(X, y, lbfgs_pairs=10)`. One that the algorithm does not take is refused, not ignored;
where the last column says *some*, `dadapt algorithms` names them.
"""


def page(*declarations: type) -> str:
    """The page of the options that dataclasses declare: one table per group, in Markdown."""
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
    """The values that the option may take, where these are declared."""
    words = [f"`{word}`" for word in one.choices or one.words]
    if one.words or one.limits:
        every = "each " if one.holds(Mapping) or one.holds(tuple) else ""
        words.append(f"{every}a {Range(**one.limits)}")
    return ", ".join(words)


def _takers(one: Declared) -> str:
    """The algorithms that take the option."""
    if one.takers == FULL_BATCH + MINIBATCH:
        return "all"
    return ", ".join(kind.replace("named", "some") for kind in one.takers)


def _plain(text: str) -> str:
    """Escape text for Markdown."""
    return re.sub(r"([|*<_])", r"\\\1", text)


def helps(width: int) -> Iterator[tuple[str, str]]:
    """Every command, and what its ``-h`` prints at a width of so many columns."""
    yield from _helps(get_command(app), "dadapt", None, terminal_width=width)


def _helps(command: Any, name: str, parent: Any, **settings: Any) -> Iterator[tuple[str, str]]:
    settings = {**command.context_settings, **settings}
    context = command.context_class(command, info_name=name, parent=parent, **settings)
    yield context.command_path, command.get_help(context)
    for own, sub in getattr(command, "commands", {}).items():
        yield from _helps(sub, own, context)


def commands() -> str:
    """The help of every command, in Markdown."""
    parts = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in helps(80)]
    return "\n".join(
        ["# Commands\n\nMade by `python -m dadapt_cli.cli.docs`; do not edit.\n", *parts]
    )


def manual() -> str:
    """The page for man: the help of every command as it is, in roff."""
    lines = [
        f'.TH DADAPT 1 "" "dadapt {__version__}"',
        ".SH NAME",
        "dadapt \\- convex solver without a learning rate, with certificates",
    ]
    for name, text in helps(72):  # man indents
        lines += [f".SH {name.upper()}", ".nf", *map(_roff, text.splitlines()), ".fi"]
    return "\n".join(lines) + "\n"


def _roff(line: str) -> str:
    """Escape a line of text for roff."""
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line


RECORDS_HEAD = """# Records

Made by `python -m dadapt_cli.cli.docs`; do not edit. What the commands print for machines.
The same as JSON Schema (2020-12) comes with the package:

```sh
python -c "import importlib.resources as r; \\
print((r.files('dadapt_cli.render') / 'records.schema.json').read_text())"
```

Keys are never left out, but for those of which it is said here; an unknown or infinite number is
null, and NaN or Infinity appears nowhere. **Stable** records keep their keys, and what these mean,
while `schema` of the start record is 1; keys may be added, so a reader should not mind one more.
The others may change with a version, and the changelog says so. `-f csv` has the keys of `step` as
its header, `-f json` is one object: `start`, `steps` (or `folds`, `points`) and `end`; of a path
`-f csv` has the points. docs/compare.md says how a comparison is measured.
"""


def records_page() -> str:
    """The page of the records: one table per record, in Markdown."""
    lines = [RECORDS_HEAD]
    for name, (own, text) in records.RECORDS.items():
        lines += [f"## {name}\n", f"{text}\n", "| key | type | meaning |", "|---|---|---|"]
        for key, kind, meaning in schema.rows(own):
            lines.append(f"| `{key}` | {kind} | {_quoted(meaning)} |")
        lines.append("")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Escape text for Markdown, except between backquotes."""
    parts = text.split("`")
    return "`".join(part if i % 2 else _plain(part) for i, part in enumerate(parts))


def records_schema() -> str:
    """The JSON Schema of the records, as text."""
    options: dict[str, tuple[Any, str]] = {
        name: (_json_type(one), one.help) for name, one in declared(Options).items()
    }
    return json.dumps(schema.schema(options, SHARED), indent=1) + "\n"


def _json_type(one: Declared) -> Any:
    """The type of an option in a start record; null where the algorithm has no use for it."""
    if one.holds(tuple):
        return fields.Named(items="number", null=True)
    if one.holds(Mapping):
        return fields.Named(values="number", null=True)
    words = {bool: "boolean", int: "integer", float: "number", str: "string"}
    found = [word for kind, word in words.items() if one.holds(kind)]
    return "|".join([*(found or ["string"]), "null"])


def infos() -> str:
    """What the algorithms' files say of themselves, as JSON."""
    every = [asdict(module.INFO) for module in algorithms.table().values()]
    return json.dumps(every, indent=1, allow_nan=False) + "\n"


def pages() -> dict[Path, str]:
    """Every page, by its file."""
    return {
        FOLDER / "options.md": page(Options, Wanted, Reading),
        FOLDER / "commands.md": commands(),
        FOLDER / "dadapt.1": manual(),
        FOLDER / "records.md": records_page(),
        Path(schema.__file__).with_name(schema.FILE): records_schema(),
        Path(listed.__file__).with_name(listed.FILE): infos(),
    }


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
