"""Proofs that stand alone: written by a fit, checked by code that shares nothing with the solvers.

:mod:`check` is one file, which runs without this package; :mod:`proof` writes what it reads.
"""
