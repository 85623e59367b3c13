"""The failure of a request that no recorded interaction is left for: what differs from the nearest, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_veeqo_alloc.core.http import Interaction, Request
from pytest_veeqo_alloc.core.json_pointer import shown_method
from pytest_veeqo_alloc.recording.matching import Difference, Recorded
from pytest_veeqo_alloc.recording.names import Place
from pytest_veeqo_alloc.spec.loader import operation_means, tables

_MOST = 8
_COLUMN = 44


class UnmatchedRequestError(Exception):
    """No recorded interaction is left for a request. The text describes what differs and quotes nothing."""

    hides_libraries = True


def nearest(
    now: Request, recorded: Sequence[Recorded], played: Sequence[bool], relaxed: frozenset[str], place: Place
) -> str:
    """The text of the failure."""
    operation = tables().operation
    what = (
        operation.name
        if operation_means(Interaction(now))
        else f"a {shown_method(now.method) or 'request'} of another call"
    )
    head = f"the cassette {place.name!a} has no interaction left for {what}"
    compared = [each.differences(now, relaxed, operation) for each in recorded]
    if not compared:
        return f"{head}: it holds none"
    if any(not differences for differences in compared):
        times = sum(done and not differences for done, differences in zip(played, compared, strict=True))
        again = "allow_playback_repeats=True plays it again"
        return (
            f"{head}: {times} that match{'es' if times == 1 else ''} {'was' if times == 1 else 'were'} played; {again}"
        )
    at = min(range(len(compared)), key=lambda index: (len(compared[index]), played[index]))
    lines = [f"{head}; nearest is number {at + 1} of {len(compared)}{' (played already)' if played[at] else ''}", ""]
    lines += map(_line, compared[at][:_MOST])
    if len(compared[at]) > _MOST:
        lines.append(f"  and at {len(compared[at]) - _MOST} more places")
    return "\n".join([*lines, "", f"  do: {_remedy(compared[at])}"])


def _line(difference: Difference) -> str:
    return f"  {difference.place:<{_COLUMN}} recorded {difference.recorded}, got {difference.got}"


def _remedy(differences: list[Difference]) -> str:
    parts = {_part(difference.place) for difference in differences}
    names = ", ".join(repr(part) for part in sorted(parts))
    return f"send what was recorded, record it anew, or leave it out of the comparison with relax=[{names}]"


def _part(place: str) -> str:
    if place in ("method", "host", "path"):
        return place
    if place == "path:order_id":
        return "order_id"
    return "query" if place.startswith("query:") else "body"
