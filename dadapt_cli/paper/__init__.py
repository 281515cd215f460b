"""The convex experiments of the paper, run again."""
