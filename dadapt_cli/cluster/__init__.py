"""Who computes the sums over samples: one class each, with ask(operation, argument)."""
