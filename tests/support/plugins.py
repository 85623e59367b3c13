"""Plugins of others, which this environment has and a run of its own need not load."""

from __future__ import annotations

from importlib.metadata import entry_points


def blocking(*wanted: str) -> list[str]:
    """Options that leave out every plugin but ours and those *wanted*, by the names of their entry points."""
    names = (each.name for each in entry_points(group="pytest11"))
    kept = {"veeqo_alloc", *wanted}
    return [part for name in names if name.partition(".")[0] not in kept for part in ("-p", f"no:{name}")]
