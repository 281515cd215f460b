"""The types that pass between the rooms, each defined once.

NumPy is imported for the checker only: whatever needs a record must not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.floating[Any]]
    """Weights, gradients, margins: (p,) or (p, C), (n,) or (n, C); float64 or float32."""

    Indices: TypeAlias = NDArray[np.intp]
    """Class numbers, one a sample."""

    Mask: TypeAlias = NDArray[np.bool_]
else:
    Array = Indices = Mask = Any

Matrix: TypeAlias = Any
"""The data, one sample a row: scipy.sparse.csr_array or a dense array."""

Label: TypeAlias = int | str
"""A label as the user gives it: an integer, a bool (which is an int), or text."""

Record: TypeAlias = dict[str, Any]
"""One JSON object of INTERFACE: keys in order, None for what is infinite or unknown."""

Metric: TypeAlias = Literal["identity", "half", "diagonal"]
"""The words of ``--metric``."""

Scale: TypeAlias = Literal["none", "minmax", "standard", "unit"]
"""The words of ``--scale``."""
