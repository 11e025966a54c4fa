"""Frozen values as plain JSON and back, so that a saved run is read for years.

Unknown keys are ignored: a later version may have added them. A missing key takes its default.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

_SCALARS: dict[type, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,)}


class NotPlain(ValueError):
    """A value that is not what its field says."""


def to_plain(value: object) -> Any:
    """Dataclasses as objects, tuples as lists; a number that is none (NaN, infinity) as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(kind: type[T], value: object) -> T:
    """What `to_plain` made, as `kind` again: a dataclass of texts, numbers, tuples, mappings and dataclasses.

    Raises:
        NotPlain: naming the field.
    """
    result: T = _read(kind, value, kind.__name__)
    return result


def _read(kind: Any, value: Any, place: str) -> Any:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, value, place)
    if origin is typing.Literal:
        return _checked(value, value in typing.get_args(kind), place)
    if origin in (types.UnionType, typing.Union):
        return _read_union(typing.get_args(kind), value, place)
    if origin is tuple:
        return _read_tuple(typing.get_args(kind), value, place)
    if origin is not None and issubclass(origin, Mapping):
        _checked(value, isinstance(value, dict), place)
        item_kind = typing.get_args(kind)[1]
        return {key: _read(item_kind, item, f"{place}.{key}") for key, item in value.items()}
    if kind is object:
        return value
    if kind is float and value is None:
        return math.nan
    is_right = isinstance(value, _SCALARS[kind]) and (kind is bool or not isinstance(value, bool))
    _checked(value, is_right, place)
    return float(value) if kind is float else value


def _read_union(arms: tuple[Any, ...], value: Any, place: str) -> Any:
    """Something or None, or one of several sets of words."""
    if value is None and type(None) in arms:
        return None
    *first, last = [arm for arm in arms if arm is not type(None)]
    for arm in first:
        try:
            return _read(arm, value, place)
        except NotPlain:
            continue
    return _read(last, value, place)


def _read_dataclass(kind: Any, value: Any, place: str) -> Any:
    _checked(value, isinstance(value, dict), place)
    hints = _hints(kind)
    known: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            known[field.name] = _read(hints[field.name], value[field.name], f"{place}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise NotPlain(f"{place}.{field.name} is missing")
    return kind(**known)


def _read_tuple(arms: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    _checked(value, isinstance(value, list), place)
    if len(arms) == 2 and arms[1] is Ellipsis:
        return tuple(_read(arms[0], item, f"{place}[{index}]") for index, item in enumerate(value))
    _checked(value, len(value) == len(arms), place)
    return tuple(
        _read(arm, item, f"{place}[{index}]") for index, (arm, item) in enumerate(zip(arms, value, strict=True))
    )


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _checked(value: Any, is_right: bool, place: str) -> Any:
    if not is_right:
        raise NotPlain(f"{place} cannot be {value!r:.60}")
    return value
