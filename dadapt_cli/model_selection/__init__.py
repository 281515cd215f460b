"""Choosing l2: folds, and a path of its values."""
