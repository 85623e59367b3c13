"""No value of the package shows an API key: not by its repr, and not as a local of a frame in a traceback."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import pytest_veeqo_alloc
from pytest_veeqo_alloc import ServerSettings

KEY = "canary-key-of-a-test"
_NOT_TO_IMPORT = ("__main__", "conftest", "test_veeqo")


def classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(pytest_veeqo_alloc.__path__, "pytest_veeqo_alloc."):
        if not module.name.rpartition(".")[2].startswith(_NOT_TO_IMPORT):
            yield from (
                value for value in vars(importlib.import_module(module.name)).values() if isinstance(value, type)
            )


KEYED = {
    (kind, field.name): field.repr and vars(kind)["__dataclass_params__"].repr
    for kind in classes()
    if dataclasses.is_dataclass(kind) and kind.__module__.startswith("pytest_veeqo_alloc")
    for field in dataclasses.fields(kind)
    if field.name in ("api_key", "key", "keys", "base_url", "headers", "known_keys")
}


def test_repr_of_no_dataclass_shows_a_key() -> None:
    shown = {f"{kind.__qualname__}.{name}" for (kind, name), is_shown in KEYED.items() if is_shown}
    assert shown == {"WritePermission.base_url"}  # which is checked to have no user, query or fragment
    assert KEY not in repr(ServerSettings(api_key=KEY))
