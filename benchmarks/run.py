"""Runs every comparison and writes RESULTS.md beside this file."""

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
FAKE = "the fake, every request checked"
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


def beside(rows: list[Row], ours: str, theirs: str) -> str:
    """How many times as long *theirs* takes as *ours*, in words."""
    by_name = {row.name: row for row in rows}
    return f"`{ours}` is {by_name[theirs].ratio / by_name[ours].ratio:,.1f} times as fast as {theirs}."


def main() -> None:
    """Measures, prints and writes."""
    # A failing order is larger than Hypothesis likes to print; nothing is printed here.
    warnings.simplefilter("ignore", HypothesisWarning)
    checking, responses = check.checking(), generate.responses()
    requests, building = generate.requests(), generate.building()
    median, worst = generate.shrinking()
    one, sixteen = serve.serving(1), serve.serving(16)
    versions = ", ".join(f"{name} {version(name)}" for name in PEERS)
    sections = [
        "# Results",
        "Written by `tox run -e bench`. Medians of interleaved rounds in one process; the ratios are what counts, since\n"
        "the seconds are those of one noisy machine. The rows `again` show the noise.",
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}; {versions}.\n"
        "schemathesis runs with its health checks suppressed, ours without.",
        "## Checking the documented example",
        table(checking, "us", 1e6),
        "A whole interaction is the request, the response, the headers, and each held against the other. What it costs above\n"
        "the two bodies is mostly that the second body finds the caches full of the first.",
        report.reporting(),
        "### The verdict alone",
        "Bytes in, a verdict out; each row parses first. The validators get the strict schema.",
        table(validate.validating(), "us", 1e6),
        "The same with four errors, every one told:",
        table(validate.explaining(), "us", 1e6),
        "### Large bodies",
        "1,000 lines in one allocation. Findings with pointers, messages and the failure text are part of it.",
        *(f"{name}:\n\n{table(rows, 'ms', 1e3)}" for name, rows in large.sections()),
        f"Peak memory of the check of the clean one: {large.peak():.1f} times the body.",
        "## Starting up",
        f"The import of the plugin, where pytest is loaded, takes {startup.own_import() * 1e3:.1f} ms of its own. From where the\n"
        f"contract is first asked for to the first finding it is {startup.first_finding() * 1e3:.0f} ms, without jsonschema.",
        table(startup.importing(), "ms", 1e3),
        startup.heavy_modules(),
        "## Generating responses",
        table(responses, "ms", 1e3),
        beside(responses, "allocation_responses()", "schemathesis, strict schema"),
        "## Generating requests",
        table(requests, "ms", 1e3),
        generate.hypothesis_jsonschema(),
        beside(requests, "allocation_requests()", "schemathesis, open schema")
        + "\n"
        + beside(requests, "allocation_requests()", "schemathesis, strict schema with maxItems 10"),
        "## Building an order",
        table(building, "us", 1e6),
        "## Replaying",
        "Seconds for one test that posts and gets the documented answer from a cassette: a run of 300 tests, its start-up\n"
        "shared out among them. Ours compares the request, checks it and the cassette, and guards the network.",
        table(replay.replaying(), "ms", 1e3),
        "## Linting 1,000 cassettes",
        table(replay.linting(), "s", 1),
        "## Redacting",
        table(replay.redacting(), "us", 1e6),
        "## Serving",
        "Seconds for one full answer to a client in another process, over one connection and over 16, kept alive where the\n"
        "server does so. Ours checks each request and keeps what it saw; pytest-httpserver answers the same bytes.",
        "One connection:",
        table(one, "us", 1e6),
        beside(one, FAKE, "pytest-httpserver"),
        "16 connections:",
        table(sixteen, "us", 1e6),
        beside(sixteen, FAKE, "pytest-httpserver"),
        "What the fixture `veeqo_alloc_server` adds to a test, after the first one of a process:",
        table(serve.fixture_cost(), "us", 1e6),
        "## Shrinking",
        "`find(allocation_responses(), lambda order: order['total_price'] > 100)`, ten seeds: "
        f"median {median:.2f} s, worst {worst:.2f} s.",
    ]
    text = "\n\n".join(sections) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
