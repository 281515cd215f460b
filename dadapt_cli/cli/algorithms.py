"""``dadapt algorithms``."""

NAME = "algorithms"


def main() -> None:
    """List the algorithms."""
