"""A report in a few lines, and the difference between two."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_veeqo_alloc.core.text import count_of, printable
from pytest_veeqo_alloc.coverage.report_model import Difference, Drift, rules_of
from pytest_veeqo_alloc.reporting.running import Finished

_MOST = 8


def run_lines(run: Finished) -> Iterator[str]:
    """Interactions, rules and fields; errors and warnings by rule with one place each; deviations."""
    if not run.interactions:
        yield "0 interactions, so nothing was checked"
        return
    by_origin = ", ".join(f"{each.interactions} from the {origin}" for origin, each in run.totals.items())
    looked_at = [counts["looked_at"] for counts in rules_of(run.totals).values()]
    yield (
        f"{count_of(run.interactions, 'interaction')}{f' ({by_origin})' if by_origin else ''}, "
        f"{sum(map(bool, looked_at))} of {len(looked_at)} rules exercised, "
        f"{run.seen} of {run.fields} fields seen from the target"
    )
    yield from _findings(run)
    yield from _deviations(run)


def too_few(run: Finished) -> str:
    """How much was seen, where that is less than was asked for."""
    of_fakes = "" if "target" in run.totals else "; what our fake and cassettes answer does not count"
    return f"{run.seen} of {run.fields} fields seen from the target{of_fakes}: less than"


def _findings(run: Finished) -> Iterator[str]:
    told: dict[tuple[str, str], tuple[str, int]] = {}
    for each in run.totals.values():
        for row in each.findings.values():
            key = (row["severity"], row["rule"])
            place, count = told.get(key, (f"{row['side']} {row['example']}", 0))
            told[key] = (place, count + row["count"])
    ordered = sorted(told.items(), key=lambda item: (item[0][0], -item[1][1], item[0][1]))
    for (severity, rule), (place, count) in ordered[:_MOST]:
        yield printable(f"{severity}: {rule} at {place}{f', and {count - 1} more' if count > 1 else ''}")
    if len(ordered) > _MOST:
        yield f"and {len(ordered) - _MOST} more rules with findings"


def _deviations(run: Finished) -> Iterator[str]:
    rows = [row for each in run.report["runs"] for row in each["deviations"]]
    if not rows:
        return
    parts = []
    for state in ("used", "stale", "expired"):
        of_state = [row for row in rows if row["state"] == state]
        named = f" (such as {of_state[0]['rule']} at {of_state[0]['place']})" if of_state and state != "used" else ""
        parts.append(f"{len(of_state)} {state}{named}")
    yield printable(f"deviations: {', '.join(parts)}")


def difference_lines(difference: Difference) -> Iterator[str]:
    """New drift first, then what is gone, then how far the later run looked."""
    yield from (f"new: {_drift(each)}" for each in sorted(difference.new))
    yield from (f"gone: {_drift(each)}" for each in sorted(difference.gone))
    yield from (f"note: no interaction from the {origin} in the later report" for origin in difference.lost)
    if difference.unseen:
        yield f"note: {count_of(difference.unseen, 'field')} of the earlier report not looked at in the later one"
    yield f"{count_of(len(difference.new), 'new drift')}, {len(difference.gone)} gone"


def difference_rows(drifts: list[Drift]) -> list[dict[str, str]]:
    """The same for a program."""
    return [{name: printable(value) for name, value in each._asdict().items()} for each in sorted(drifts)]


def _drift(each: Drift) -> str:
    return printable(f"{each.sentence}, from the {each.origin}")
