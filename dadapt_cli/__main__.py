"""``python -m dadapt_cli`` and the console script ``dadapt``."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from dadapt_cli.system.terminal import replace_closed_streams

    replace_closed_streams()
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # while modules load an interrupt ends quietly
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dadapt_cli.cli import run

    signal.signal(signal.SIGINT, before)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
