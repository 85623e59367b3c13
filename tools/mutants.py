"""Run mutation testing of contract/, redaction/, orders/ and live/: `tox run -e mutation`, some hours on two cores.

mutmut changes the code in one place at a time. mypy rejects some mutants before any test runs. A mutant that survives mutmut's
own run, which is one process, is tested again with more tests in a process of its own, where the code that runs at import is
mutated too. The result is tests/MUTANTS.md.
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
RETESTED = MUTANTS / "retested.json"
REPORT = ROOT / "tests" / "MUTANTS.md"
_KILLED, _TYPES = 1, 37
_TESTS = ("tests/unit",)
_TESTS_OF_LIVE = ("tests/unit/live", "tests/end_to_end/test_proxy.py", "tests/end_to_end/test_recording.py")
_QUIET = ("-x", "-q", "--tb=no", "--no-header", "-p", "no:randomly")
_TIMEOUT = 240  # seconds


def mutmut_results() -> dict[str, int | None]:
    """Return the exit code of mutmut's own run by mutant: 1 killed by a test, 37 rejected by types, 0 survived."""
    results: dict[str, int | None] = {}
    for path in sorted(MUTANTS.rglob("*.meta")):
        results |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return results


def _options() -> list[str]:
    """Return the pytest options of mutmut's own run."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    return [str(option) for option in settings["pytest_add_cli_args"]]


def retest(name: str) -> int:
    """Run the tests in a new process with the mutant *name*, and return 1 if they fail or time out, otherwise 0."""
    tests = _TESTS_OF_LIVE if ".live." in name else _TESTS
    environment = {**os.environ, "PYTHONPATH": str(MUTANTS), "MUTANT_UNDER_TEST": name}
    command = [sys.executable, "-m", "pytest", *_QUIET, *_options(), *tests]
    try:
        done = subprocess.run(  # noqa: S603  # our own command
            command, cwd=MUTANTS, env=environment, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return _KILLED
    return _KILLED if done.returncode else 0


def final_results() -> dict[str, int]:
    """Test the survivors again and return the result of every mutant: 1 killed, 37 rejected by types, 0 survived.

    Results of retests are saved at once, so that an interrupted run can be resumed.
    """
    results = mutmut_results()
    known: dict[str, int] = json.loads(RETESTED.read_text(encoding="utf-8")) if RETESTED.exists() else {}
    survivors = [name for name, result in results.items() if result not in (_KILLED, _TYPES) and name not in known]
    if survivors and retest("none"):
        raise SystemExit("the tests fail without a mutant: fix them first")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, result in zip(survivors, pool.map(retest, survivors), strict=True):
            known[name] = result
            RETESTED.write_text(json.dumps(known), encoding="utf-8")
    return {name: known.get(name, result or 0) for name, result in results.items()}


def _diff(name: str) -> str:
    """Return the removed and added lines of the mutant *name*."""
    shown = subprocess.run(["mutmut", "show", name], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603, S607  # our own command
    lines = [line for line in shown.splitlines() if line[:1] in "-+" and not line.startswith(("---", "+++"))]
    return "\n".join(lines)


def report(results: dict[str, int]) -> Iterator[str]:
    """Yield the lines of the report: figures by module, then the diff of every survivor."""
    modules: dict[str, Counter[int]] = defaultdict(Counter)
    survivors = defaultdict(list)
    for name, result in results.items():
        module, _, function = name.rpartition("__mutmut_")[0].removeprefix("pytest_veeqo_alloc.").rpartition(".")
        modules[module][result] += 1
        if not result:
            survivors[f"{module}.{function.removeprefix('x_').strip('x')}"].append(name)
    total = sum(modules.values(), Counter())
    yield from ("| module | mutants | rejected by types | killed by tests | survived | detected |", "| --- " * 6 + "|")
    for module, counts in [*sorted(modules.items()), ("all", total)]:
        share = 100 * (1 - counts[0] / counts.total())
        yield f"| {module} | {counts.total()} | {counts[_TYPES]} | {counts[_KILLED]} | {counts[0]} | {share:.1f} % |"
    by_tests = 100 * total[_KILLED] / (total[_KILLED] + total[0])
    yield from ("", f"Tests killed {by_tests:.1f} % of the mutants that types did not reject.", "")
    for function, names in sorted(survivors.items()):
        yield from (f"### {function}", "", "```diff", *map(_diff, names), "```", "")


def main() -> None:
    """Run mutmut and the retests, and write the figures of tests/MUTANTS.md; the text above them is written by hand."""
    subprocess.run(["mutmut", "run"], cwd=ROOT, check=True)  # noqa: S607  # our own command
    head, mark, _ = REPORT.read_text(encoding="utf-8").partition("## Figures\n")
    REPORT.write_text(f"{head}{mark}\n" + "\n".join(report(final_results())), encoding="utf-8")
    RETESTED.unlink(missing_ok=True)  # the next run may have other tests, so it tests its survivors again


if __name__ == "__main__":
    main()
