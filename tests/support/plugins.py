"""Other pytest plugins that are installed in the environment of the tests."""

from __future__ import annotations

from importlib.metadata import entry_points


def disable_others(*wanted: str) -> list[str]:
    """Return options that disable every plugin but ours and those *wanted*, by the names of their entry points."""
    names = (entry_point.name for entry_point in entry_points(group="pytest11"))
    kept = {"veeqo_alloc", *wanted}
    return [part for name in names if name.partition(".")[0] not in kept for part in ("-p", f"no:{name}")]
