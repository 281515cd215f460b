"""Text <-> matrix: reading LIBSVM files.

Everything else in the package receives data from :func:`load` (or :func:`read_libsvm`) and never
looks at a file.
"""

from dadapt_cli.libsvm.reader import LoadedData, load, read_libsvm

__all__ = ["LoadedData", "load", "read_libsvm"]
