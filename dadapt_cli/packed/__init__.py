"""Data on disk in leaves: written by `dadapt pack`, read leaf by leaf, summed along one tree.

The module itself can be called to open a folder: ``fit(dadapt_cli.packed("FOLDER"))``.
"""

from __future__ import annotations

import os
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dadapt_cli.packed.folder import Data


class _Room(types.ModuleType):
    """A module that can be called: ``dadapt_cli.packed`` is module and function in one."""

    def __call__(self, folder: str | os.PathLike[str]) -> Data:
        """Open a folder that ``dadapt pack`` has written.

        Returns
        -------
        Data
            To be given to :func:`dadapt_cli.fit`; ``shape``, ``nnz`` and ``classes`` describe it.

        Raises
        ------
        DataError
            The folder is not finished, of another version, or damaged.
        InputOutputError
            A file is missing or cannot be read.
        """
        from dadapt_cli.packed.folder import opened

        return opened(folder)


sys.modules[__name__].__class__ = _Room
