"""Options of inner runs of pytest, and the other plugins that are installed beside ours."""

from __future__ import annotations

from importlib.metadata import entry_points

STRICTLY = ("-W", "error", "--strict-markers", "--strict-config", "-p", "no:randomly")
"""Options of an inner run in which every warning is an error and the order of the tests is fixed."""


def disable_others(*wanted: str) -> list[str]:
    """Return options that disable every plugin but ours and those *wanted*, by the names of their entry points."""
    names = (entry_point.name for entry_point in entry_points(group="pytest11"))
    kept = {"veeqo_alloc", *wanted}
    return [part for name in names if name.partition(".")[0] not in kept for part in ("-p", f"no:{name}")]
