"""What a comparison leaves."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.errors import UsageError


@dataclass(frozen=True)
class Comparison:
    """Algorithms and solvers on one or several problems.

    Attributes
    ----------
    document
        All of it, as ``dadapt compare -f json`` prints it: docs/compare.md.
    """

    document: Record

    @property
    def records(self) -> list[Record]:
        """A record a run, the fastest of each problem first; its problem's path under ``path``."""
        return [
            {"path": one["problem"]["path"], **run}
            for one in self.document["comparisons"]
            for run in one["runs"]
        ]

    @property
    def verdict(self) -> str:
        """Who was first, and by how much: a sentence a problem."""
        return "\n".join(one["verdict"] for one in self.document["comparisons"])

    def __repr__(self) -> str:
        """The tables, at most a screen wide."""
        from dadapt_cli.render import compare

        return compare.text(self.document).rstrip()

    def to_frame(self) -> Any:
        """The figures as a pandas DataFrame, a row a run.

        Raises
        ------
        UsageError
            pandas is not installed.
        """
        from dadapt_cli.render import compare

        try:
            pandas: Any = import_module("pandas")
        except ImportError:
            raise UsageError("to_frame needs pandas; pip install pandas") from None
        return pandas.DataFrame(compare.rows(self.document))

    def plot(self, path: str) -> None:
        """Draw it: PNG, SVG or PDF.

        Raises
        ------
        UsageError, MissingExtraError
            Another kind of file; matplotlib is not installed.
        InputOutputError
            The file cannot be written.
        """
        from dadapt_cli.render import curves, plot

        plot.check(path)
        curves.draw(path, self.document)

    def export(self, path: str) -> None:
        """Write it: CSV, JSON, LaTeX or Markdown, by the end of the name.

        Raises
        ------
        UsageError
            Another kind of file.
        InputOutputError
            The file cannot be written.
        """
        from dadapt_cli.render import compare

        compare.check(path)
        compare.export(path, self.document)
