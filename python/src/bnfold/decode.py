"""JSON as the dataclasses of report.py."""

from __future__ import annotations

import dataclasses
import types
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], data: dict[str, Any]) -> T:
    """``data`` as the dataclass ``kind``. What the dataclass does not know is left out.

    Raises ValueError when it does not fit.
    """
    made: T = _value(kind, data)
    return made


def _key(field: str) -> str:
    head, *rest = field.rstrip("_").split("_")
    return head + "".join(word.capitalize() for word in rest)


@lru_cache(maxsize=None)
def _fields(kind: Any) -> tuple[tuple[str, tuple[str, str], Any, bool], ...]:
    """Of each field its name, the keys it may have in JSON, its type, and whether it must be there."""
    hints = get_type_hints(kind)
    return tuple(
        (f.name, (_key(f.name), f.name.replace("_", "-")), hints[f.name], f.default is dataclasses.MISSING)
        for f in dataclasses.fields(kind)
    )


def _object(kind: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__} is made from an object, got {data!r}")
    given = {}
    for name, keys, inner, needed in _fields(kind):
        key = next((key for key in keys if key in data), None)
        if key is not None:
            given[name] = _value(inner, data[key])
        elif needed:
            raise ValueError(f"{kind.__name__} lacks {keys[0]!r}")
    return kind(**given)


def _value(kind: Any, data: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return _object(kind, data)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        if data not in args:
            raise ValueError(f"{data!r} is none of {args}")
        return data
    if origin in (Union, types.UnionType):
        return _either(args, data)
    if origin is tuple:
        inner = [args[0]] * len(data) if args[-1] is Ellipsis else args
        return tuple(_value(one, item) for one, item in zip(inner, data))
    if origin is dict:
        return {key: _value(args[1], item) for key, item in data.items()}
    return _plain(kind, data)


def _plain(kind: Any, data: Any) -> Any:
    if kind is float and isinstance(data, (int, float, str)) and not isinstance(data, bool):
        # What JSON has no number for is written as a word.
        return float(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise ValueError(f"expected {kind.__name__}, got {data!r}")
    return data


def _either(kinds: tuple[Any, ...], data: Any) -> Any:
    """The first that fits; a string is a string before it is a number."""
    for kind in sorted(kinds, key=lambda k: (k is float, k is not str and k is not bool)):
        try:
            return _value(kind, data)
        except (ValueError, TypeError):
            continue
    raise ValueError(f"{data!r} is none of {kinds}")
