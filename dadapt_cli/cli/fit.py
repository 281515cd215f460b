"""``dadapt fit``."""

NAME = "fit"


def main(data: str) -> None:
    """Fit logistic regression."""
