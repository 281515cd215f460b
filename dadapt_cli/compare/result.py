"""The result of a comparison."""

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
        The whole comparison, as ``dadapt compare -f json`` prints it: docs/compare.md.
    """

    document: Record

    @property
    def records(self) -> list[Record]:
        """One record per run, the fastest of each problem first; ``path`` is the problem's path."""
        return [
            {"path": one["problem"]["path"], **run}
            for one in self.document["comparisons"]
            for run in one["runs"]
        ]

    @property
    def verdict(self) -> str:
        """Who was first, and by how much: one sentence per problem."""
        return "\n".join(one["verdict"] for one in self.document["comparisons"])

    def __repr__(self) -> str:
        """The tables, at most a screen wide."""
        from dadapt_cli.render import compare

        return compare.text(self.document).rstrip()

    def to_frame(self) -> Any:
        """Return the figures as a pandas DataFrame, one row per run.

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
        """Draw the comparison: PNG, SVG or PDF.

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
        """Write the comparison: CSV, JSON, LaTeX or Markdown, by the file's suffix.

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
