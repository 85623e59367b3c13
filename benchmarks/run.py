"""Run every comparison and write RESULTS.md: `tox run -e bench`."""

from __future__ import annotations

import platform
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import check
import generate
import large
import replay
import report
import serve
import startup
import validate
from hypothesis.errors import HypothesisWarning
from measure import Row, table

RESULTS = Path(__file__).parent / "RESULTS.md"
PEERS = (
    "hypothesis",
    "schemathesis",
    "jsonschema",
    "pytest",
    "vcrpy",
    "pytest-recording",
    "pytest-httpserver",
    "PyYAML",
    "jsonschema-rs",
    "fastjsonschema",
    "responses",
    "pact-python",
)


def speed_ratio(rows: list[Row], ours: str, theirs: str) -> str:
    """Return a sentence on how many times as fast *ours* is as *theirs*."""
    by_name = {row.name: row for row in rows}
    return f"`{ours}` is {by_name[theirs].ratio / by_name[ours].ratio:,.1f} times as fast as {theirs}."


def main() -> None:
    """Measure, print and write."""
    # Hypothesis warns that a failing order is too large to print; nothing is printed here.
    warnings.simplefilter("ignore", HypothesisWarning)
    checks, responses = check.measure_checks(), generate.measure_responses()
    requests, building = generate.measure_requests(), generate.measure_building()
    median, worst = generate.measure_shrinking()
    one, sixteen = serve.measure_serving(1), serve.measure_serving(16)
    versions = ", ".join(f"{name} {version(name)}" for name in PEERS)
    sections = [
        "# Results",
        "Written by `tox run -e bench`. Medians of interleaved rounds in one process. Compare the ratios, not the seconds, which\n"
        "are those of one noisy machine. The rows `again` show the noise.",
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}; {versions}.\n"
        "schemathesis runs with its health checks suppressed, ours without.",
        "## Checking the documented example",
        table(checks, "us", 1e6),
        "A check of the whole interaction covers the request, the response, the headers, and request and response compared.",
        check.typed_share(),
        report.measure_report(),
        "### The verdict alone",
        "From bytes to a verdict; each row includes the parsing. The validators get the strict schema.",
        table(validate.measure_verdicts(), "us", 1e6),
        "The same example with four errors, all of them reported:",
        table(validate.measure_explanations(), "us", 1e6),
        "### Large bodies",
        "1,000 lines in one allocation, including the pointers and messages of the findings and the failure text.",
        *(f"{name}:\n\n{table(rows, 'ms', 1e3)}" for name, rows in large.measure_large_bodies()),
        f"Peak memory of the check of the body without errors: {large.peak_memory():.1f} times the body.",
        "## Starting up",
        f"When pytest is loaded, the import of the plugin takes {startup.measure_own_import() * 1e3:.1f} ms in its own modules. From the first\n"
        f"use of `Contract` to the first finding it takes {startup.measure_first_finding() * 1e3:.0f} ms, without jsonschema.",
        table(startup.measure_imports(), "ms", 1e3),
        startup.heavy_modules(),
        "## Generating responses",
        table(responses, "ms", 1e3),
        speed_ratio(responses, "allocation_responses()", "schemathesis, strict schema"),
        "## Generating requests",
        table(requests, "ms", 1e3),
        generate.measure_hypothesis_jsonschema(),
        speed_ratio(requests, "allocation_requests()", "schemathesis, open schema")
        + "\n"
        + speed_ratio(requests, "allocation_requests()", "schemathesis, strict schema with maxItems 10"),
        "## Building an order",
        table(building, "us", 1e6),
        "## Replaying",
        "Time of one test that sends the request and gets the documented response from a cassette: a run of 300 tests, including its\n"
        "start-up, divided by 300. Ours matches and checks the request, checks the cassette, and blocks the network.",
        table(replay.measure_replay(), "ms", 1e3),
        "## Linting 1,000 cassettes",
        table(replay.measure_lint(), "s", 1),
        "## Redacting",
        table(replay.measure_redaction(), "us", 1e6),
        "## Serving",
        "Time of one exchange with a client in another process, over one connection and over 16, kept alive if the server does so.\n"
        "Ours checks and logs each request; pytest-httpserver sends the same bytes.",
        "One connection:",
        table(one, "us", 1e6),
        speed_ratio(one, serve.FAKE, "pytest-httpserver"),
        "16 connections:",
        table(sixteen, "us", 1e6),
        speed_ratio(sixteen, serve.FAKE, "pytest-httpserver"),
        "What the fixture `veeqo_alloc_server` adds to every test but the first one of a process:",
        table(serve.measure_fixture(), "us", 1e6),
        "## Shrinking",
        "`find(allocation_responses(), lambda order: order['total_price'] > 100)`, ten seeds: "
        f"median {median:.2f} s, worst {worst:.2f} s.",
    ]
    text = "\n\n".join(sections) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
