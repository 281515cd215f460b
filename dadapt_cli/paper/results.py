"""Results of experiments in a folder, one file a problem, so that a run can be continued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.system.files import atomic_write, read_whole, reporting
from dadapt_cli.system.schema import conforms


class Store:
    """Finished problems in a folder; without a folder nothing is stored.

    Parameters
    ----------
    folder
        Made if it is not there.

    Raises
    ------
    InputOutputError
        It cannot be made.
    """

    def __init__(self, folder: str | None) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            with reporting(self.folder, "name a folder"):
                self.folder.mkdir(parents=True, exist_ok=True)

    def find(self, experiment: str, problem: str, key: Record, kind: Any) -> Record | None:
        """The stored result, if it was made from the same data with the same options.

        Parameters
        ----------
        kind
            What a result looks like, as :func:`~dadapt_cli.system.schema.conforms` takes it; a
            file that holds anything else is ignored.
        """
        if self.folder is None:
            return None
        path = self.path(experiment, problem)
        if not path.exists():
            return None
        try:
            stored = json.loads(read_whole(path))
        except (ValueError, RecursionError):  # not a result: compute it again
            return None
        return stored["result"] if conforms(stored, {"key": key, "result": kind}) else None

    def keep(self, experiment: str, problem: str, key: Record, result: Record) -> None:
        """Write one problem's result, whole or not at all."""
        if self.folder is None:
            return
        with atomic_write(self.path(experiment, problem), own=True) as handle:
            text = json.dumps({"key": key, "result": result}, indent=1, allow_nan=False)
            handle.write(text.encode() + b"\n")

    def path(self, experiment: str, problem: str) -> Path:
        """The file of one problem."""
        assert self.folder is not None
        return self.folder / f"{experiment}-{problem}.json"
