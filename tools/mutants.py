"""Mutation testing of contract/, orders.py and live/: `tox run -e mutation`, which takes some hours on two cores.

mutmut changes the code in one place at a time. What mypy refuses is caught before any test; what the tests within one
process let through gets a second look in a process of its own, with more tests: there the mutant also does what is done
once at import. The result is tests/MUTANTS.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTANTS = ROOT / "mutants"
SECOND = MUTANTS / "second-look.json"
REPORT = ROOT / "tests" / "MUTANTS.md"
_KILLED, _TYPES = 1, 37
_OF_CONTRACT = (
    "words bodies findings table transport error_body equations allocated reading sequence echo schemas orders structure "
    "lint redact coverage reports openapi server_world cli cassettes capture_files cli_redact"
)
_OF_LIVE = "live_guard live_journal live_shared live proxy recording"
_QUIET = ("-x", "-q", "--tb=no", "--no-header", "-p", "no:randomly")
_PATIENCE = 240


def first_look() -> dict[str, int | None]:
    """What mutmut's own run said of each mutant, by its name: 1 caught by a test, 37 by types, 0 survived."""
    found: dict[str, int | None] = {}
    for path in sorted(MUTANTS.rglob("*.meta")):
        found |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def _options() -> list[str]:
    """The options of pytest that mutmut's own run has."""
    options: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"][
        "pytest_add_cli_args"
    ]
    return options


def second_look(name: str) -> int:
    """The exit status of the tests in a process in which everything, imports too, is done by the mutant *name*."""
    tests = _OF_LIVE if ".live." in name else _OF_CONTRACT
    files = [f"tests/test_{each}.py" for each in tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(MUTANTS), "MUTANT_UNDER_TEST": name}
    command = [sys.executable, "-m", "pytest", *_QUIET, *_options(), *files]
    try:
        done = subprocess.run(  # noqa: S603  # ours
            command, cwd=MUTANTS, env=environment, capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return _KILLED
    return _KILLED if done.returncode else 0


def judged() -> dict[str, int]:
    """The last word on each mutant. Second looks are kept, so that a run that was stopped goes on where it was."""
    verdicts = first_look()
    known: dict[str, int] = json.loads(SECOND.read_text(encoding="utf-8")) if SECOND.exists() else {}
    left = [name for name, verdict in verdicts.items() if verdict not in (_KILLED, _TYPES) and name not in known]
    if left and second_look("none"):
        raise SystemExit("the tests fail without a mutant: mend them first")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, verdict in zip(left, pool.map(second_look, left), strict=True):
            known[name] = verdict
            SECOND.write_text(json.dumps(known), encoding="utf-8")
    return {name: known.get(name, verdict or 0) for name, verdict in verdicts.items()}


def _change(name: str) -> str:
    """What the mutant changes: the line that goes, and the one that comes."""
    shown = subprocess.run(["mutmut", "show", name], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603, S607  # ours
    lines = [line for line in shown.splitlines() if line[:1] in "-+" and not line.startswith(("---", "+++"))]
    return "\n".join(lines)


def report(verdicts: dict[str, int]) -> Iterator[str]:
    """Lines of the page: figures by module, then every survivor."""
    modules: dict[str, Counter[int]] = defaultdict(Counter)
    survivors = defaultdict(list)
    for name, verdict in verdicts.items():
        function = name.rpartition("__mutmut_")[0]
        module, _, place = function.rpartition(".")
        modules[module.removeprefix("pytest_veeqo_alloc.")][verdict] += 1
        if not verdict:
            survivors[f"{module.removeprefix('pytest_veeqo_alloc.')}.{place.removeprefix('x_').strip('x')}"].append(
                name
            )
    whole = sum(modules.values(), Counter())
    yield from ("| module | mutants | refused by types | caught by tests | survived | caught |", "| --- " * 6 + "|")
    for module, each in [*sorted(modules.items()), ("all", whole)]:
        share = 100 * (1 - each[0] / each.total())
        yield f"| {module} | {each.total()} | {each[_TYPES]} | {each[_KILLED]} | {each[0]} | {share:.1f} % |"
    by_tests = 100 * whole[_KILLED] / (whole[_KILLED] + whole[0])
    yield from ("", f"Of those that types let through, tests caught {by_tests:.1f} %.", "")
    for place, names in sorted(survivors.items()):
        yield from (f"### {place}", "", "```diff", *map(_change, names), "```", "")


def main() -> None:
    """Runs both looks and writes the page below its heading, which is written by hand."""
    subprocess.run(["mutmut", "run"], cwd=ROOT, check=True)  # noqa: S607  # ours
    head, mark, _ = REPORT.read_text(encoding="utf-8").partition("## Figures\n")
    REPORT.write_text(f"{head}{mark}\n" + "\n".join(report(judged())), encoding="utf-8")
    SECOND.unlink(missing_ok=True)  # what survived is looked at anew in the next run, which has other tests


if __name__ == "__main__":
    main()
