"""A mapping that is a value: adding to it gives another one, at the cost of a small part of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, Self, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_PARTS = 64


class Shelf(Mapping[K, V], Generic[K, V]):
    """An immutable mapping. `having` shares all but one of its 64 parts with the mapping it is called on."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Mapping[K, V], ...] = ({},) * _PARTS) -> None:
        self._parts = parts

    def having(self, key: K, value: V) -> Self:
        """The same mapping but for *key*, which has *value*."""
        at = hash(key) % _PARTS
        return type(self)((*self._parts[:at], {**self._parts[at], key: value}, *self._parts[at + 1 :]))

    def __getitem__(self, key: K) -> V:
        return self._parts[hash(key) % _PARTS][key]

    def __iter__(self) -> Iterator[K]:
        return (key for part in self._parts for key in part)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __repr__(self) -> str:
        return f"<Shelf of {len(self)}>"
