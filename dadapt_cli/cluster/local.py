"""One process that has all leaves."""

from __future__ import annotations

from typing import Any

from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.format import Leaf
from dadapt_cli.packed.reading import Rows
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.share import Share
from dadapt_cli.packed.tree import Node


class Local:
    """Asks a share that has all leaves."""

    def __init__(self, data: Data, settings: Settings) -> None:
        self.share = Share(data, range(len(data.leaves)), settings)

    def rows(self, leaf: Leaf) -> Rows:
        """The rows of a leaf, for who wants them one after the other."""
        return self.share.stream.one(leaf)

    def ask(self, operation: str, argument: Any = None) -> list[Node]:
        """Nodes of the tree over all leaves; see :meth:`Share.ask`."""
        return self.share.ask(operation, argument)
