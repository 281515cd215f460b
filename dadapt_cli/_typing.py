"""The types of arrays that pass between the rooms."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
"""Weights, gradients, margins: (p,) or (p, C), (n,) or (n, C); float64 or float32."""

Indices: TypeAlias = NDArray[np.intp]
"""Class numbers, one a sample."""

Mask: TypeAlias = NDArray[np.bool_]

Matrix: TypeAlias = Any
"""The data, one sample a row: scipy.sparse.csr_array or a dense array."""
