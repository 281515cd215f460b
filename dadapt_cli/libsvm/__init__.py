"""Text <-> matrix: reading and writing LIBSVM files.

Everything else in the package receives data from :func:`load` (or :func:`read_libsvm`) and never
looks at a file.
"""

from dadapt_cli.libsvm.reader import LoadedData, load, read_libsvm
from dadapt_cli.libsvm.writer import write_libsvm

__all__ = ["LoadedData", "load", "read_libsvm", "write_libsvm"]
