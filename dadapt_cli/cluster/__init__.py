"""Engines that compute the sums over samples: each a class with ask(operation, argument)."""
