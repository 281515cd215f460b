"""What a process of any cluster does at the start: compare itself with the driver, open a share."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import scipy

import dadapt_cli
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.objective import require_memory
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.share import Share
from dadapt_cli.packed.tree import share
from dadapt_cli.system import blas, memory

EXPECTED = (DataError, InputOutputError, UsageError)
"""Errors that a worker may report in place of a result; any other one is a bug."""

Answer: TypeAlias = tuple[bool, Any]
"""Whether a worker succeeded, and its result, or else the error to raise."""


@dataclass(frozen=True)
class Opening:
    """What a process needs to know before it can work on a folder.

    Attributes
    ----------
    path, sha256
        The folder, and the identity of its data.
    settings
        How the leaves are interpreted.
    limit
        Bytes that each process may take in all (``--memory-limit``), or None.
    versions
        The driver's.
    """

    path: str
    sha256: str
    settings: Settings
    limit: int | None
    versions: dict[str, str]

    def look(self) -> Data:
        """Open the folder as the driver did, without reading a leaf.

        Raises
        ------
        InputOutputError
            This process has another program, cannot see the folder, or finds other data there.
        DataError
            The folder is damaged.
        """
        for name, own in versions().items():
            if own != self.versions[name]:
                raise InputOutputError(
                    f"has {name} {own}, the driver {self.versions[name]}; install the same "
                    "everywhere"
                )
        if not Path(self.path).is_dir():
            raise InputOutputError(
                f"{self.path}: cannot be seen there; name a folder that all machines see under "
                "one path"
            )
        data = opened(self.path)
        if data.sha256 != self.sha256:
            raise InputOutputError(
                f"{self.path}: has other data than the driver's ({data.sha256[:16]}... in place of "
                f"{self.sha256[:16]}...); name a folder that all see"
            )
        return data

    def share(self, workers: int, rank: int, beside: int) -> Share:
        """The share of worker `rank`; `beside` of the `workers` are on its machine.

        Raises
        ------
        InputOutputError, DataError
            As :meth:`look`; also where there is not enough memory.
        """
        data = self.look()
        with memory.limited(self.limit):
            hold = require_memory(data, self.settings, workers, beside)
        leaves = share(len(data.leaves), workers, rank)
        return Share(data, leaves, replace(self.settings, hold=hold))


def versions() -> dict[str, str]:
    """Versions of what the digits depend on."""
    return {
        "dadapt": dadapt_cli.__version__,
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
    }


def processor() -> dict[str, str]:
    """What the code of NumPy, SciPy and BLAS is picked by: the last digits depend on it."""
    new = np.lib.NumpyVersion(np.__version__) >= "2.0.0"
    core = importlib.import_module(f"numpy.{'_core' if new else 'core'}._multiarray_umath")
    features = sorted(name for name, there in core.__cpu_features__.items() if there)
    return {"BLAS core": blas.core(), "CPU features": " ".join(features)}


def differences(own: dict[str, str], others: dict[str, dict[str, str]]) -> list[str]:
    """A note where workers, by name, have other processors than the driver."""
    notes = []
    for name, value in own.items():
        other = {worker: about[name] for worker, about in others.items() if about[name] != value}
        if other:
            worker, seen = next(iter(other.items()))
            these, those = set(seen.split()), set(value.split())
            missing, more = sorted(those - these), sorted(these - those)
            what = ", ".join([*(f"no {word}" for word in missing), *more])
            notes.append(
                f"{len(other)} of {len(others)} workers have another {name} than the driver "
                f"({worker}: {what}): the last digits may be others than on one kind of processor"
            )
    return notes


def attempt(do: Callable[[], Any], place: str) -> Answer:
    """Its result, or an expected error with the `place` it is from."""
    try:
        return True, do()
    except EXPECTED as error:
        return False, type(error)(f"{place}: {error}" if place else str(error))
    except MemoryError:
        what = f"{place}: out of memory" if place else "out of memory"
        return False, InputOutputError(f"{what}; use fewer workers on a machine, or a larger one")
