"""Runs that are kept: their state as plain data, its file and lock, and going on from it."""
