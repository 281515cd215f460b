"""Whether a value of JSON is what an annotation says: the check of every file with JSON in it."""

from __future__ import annotations

import math
import types
from collections.abc import Collection, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

LARGEST_INT = 2**63


def conforms(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is of a kind; numbers must be finite, a bool is none.

    A kind is an annotation: ``float`` takes integers, ``tuple`` takes lists, and a mapping from
    ``int`` the strings that JSON makes of its keys. Or it is a document of kinds: an object has
    its fields and no other, a list its items in order, a text or number is this one, and a pair
    of numbers takes what lies between them.
    """
    if kind is Any:
        return True
    if isinstance(kind, dict):
        return (
            isinstance(value, dict)
            and set(value) == set(kind)
            and all(conforms(value[name], part) for name, part in kind.items())
        )
    if isinstance(kind, list):
        same = isinstance(value, list) and len(value) == len(kind)
        return same and all(map(conforms, value, kind))
    if isinstance(kind, tuple):
        return conforms(value, float) and bool(kind[0] <= value <= kind[1])
    if isinstance(kind, (str, int, float)):
        return type(value) is type(kind) and bool(value == kind)
    if kind is None or kind is types.NoneType:
        return value is None
    if kind is int:
        return type(value) is int and abs(value) < LARGEST_INT
    if kind is float:
        return conforms(value, int) or (type(value) is float and math.isfinite(value))
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(conforms(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        same = isinstance(value, (list, tuple)) and len(value) == len(parts)
        return same and all(map(conforms, value, parts))
    if origin is list:
        return isinstance(value, list) and all(conforms(item, parts[0]) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(
            _key(name, parts[0]) and conforms(item, parts[1]) for name, item in value.items()
        )
    return isinstance(kind, type) and type(value) is kind


def require(kinds: Mapping[str, Any], values: Any, what: str) -> None:
    """Raise ValueError unless `values` has these fields and each is of its type."""
    if not isinstance(values, dict):
        raise ValueError(f"{what} is no object")
    for name, kind in kinds.items():
        if name not in values:
            raise ValueError(f"{what} has no {name}")
        if not conforms(values[name], kind):
            raise ValueError(f"{name} of {what} is {str(values[name])[:20]!r}")


def require_fields(
    cls: type,
    values: Any,
    what: str,
    without: Collection[str] = (),
    later: Collection[str] = (),
) -> None:
    """Raise ValueError unless `values` are those of a dataclass, all of them and no other.

    Those of `later` may be missing.
    """
    kinds = {name: kind for name, kind in get_type_hints(cls).items() if name not in without}
    absent = set(later) - set(values if isinstance(values, dict) else ())
    require({name: kind for name, kind in kinds.items() if name not in absent}, values, what)
    if foreign := sorted(set(values) - set(kinds)):
        raise ValueError(f"{what} has {foreign[0][:40]!r}, which is none of its fields")


def _key(name: str, kind: Any) -> bool:
    if kind is int:
        return name.removeprefix("-").isdecimal() and name.isascii() and len(name) < 20
    return True
