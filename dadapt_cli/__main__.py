"""``python -m dadapt_cli`` and the console script ``dadapt``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from dadapt_cli.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
