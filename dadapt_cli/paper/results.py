"""Results of experiments in a folder, one file a problem, so that a run can be taken up again."""

from __future__ import annotations

import json
from pathlib import Path

from dadapt_cli._typing import Record
from dadapt_cli.errors import InputOutputError
from dadapt_cli.system.files import atomic_write


class Store:
    """Finished problems in a folder; without a folder nothing is kept.

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
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputOutputError(f"{folder}: {error.strerror}; name a folder") from error

    def find(self, experiment: str, problem: str, key: Record) -> Record | None:
        """The stored result, if it was made from the same data with the same options."""
        if self.folder is None:
            return None
        path = self.path(experiment, problem)
        try:
            stored = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputOutputError(f"{path}: {error.strerror}; it cannot be read") from error
        except ValueError:  # not a file of ours, or of a future one: compute it anew
            return None
        if not isinstance(stored, dict) or stored.get("key") != key:
            return None
        result: Record = stored["result"]
        return result

    def keep(self, experiment: str, problem: str, key: Record, result: Record) -> None:
        """Write one problem's result, whole or not at all."""
        if self.folder is None:
            return
        with atomic_write(self.path(experiment, problem)) as handle:
            text = json.dumps({"key": key, "result": result}, indent=1, allow_nan=False)
            handle.write(text.encode() + b"\n")

    def path(self, experiment: str, problem: str) -> Path:
        """The file of one problem."""
        assert self.folder is not None
        return self.folder / f"{experiment}-{problem}.json"
