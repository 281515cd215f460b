"""The regression gate: the paper's problems against a stored baseline."""
