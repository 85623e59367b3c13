"""The exact words of findings, failures and reports, which a person read and approved.

After a change, `pytest tests/unit/contract/test_messages.py --snapshot-update` writes the snapshots; read what it changed.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.bodies import allocation_request, order, put, request_body
from support.cases import CASES, body_of
from support.messages import JSON_TYPE, KEY, request, response
from support.reports import report_of
from syrupy.assertion import SnapshotAssertion

from pytest_veeqo_alloc import ContractViolation, Deviation, Findings, Interaction, Response
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.http_rules import Ending, Seen
from pytest_veeqo_alloc.contract.rules import CATALOGUE, SUITE_RULES
from pytest_veeqo_alloc.coverage.collector import CoverageCounter
from pytest_veeqo_alloc.coverage.report_model import find_drift
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.redaction.lint import age_breaches, format_breach
from pytest_veeqo_alloc.spec.loader import field_trees

STRICT, DOCUMENTED = Engine("strict"), Engine()
URL = "https://api.example.com/orders/447452/allocations"
REQUESTS = {
    "another method": request(method="PUT"),
    "another path": request("https://api.example.com/orders/447452"),
    "the number of an order in the path": request("https://api.example.com/orders/P-1/allocations"),
    "a query parameter": request(f"{URL}?page=1"),
    "a key in the query": request(f"{URL}?next={KEY[1]}"),
    "a parameter named like a key": request(f"{URL}?api_key=1"),
    "a key in the path": request(f"https://api.example.com/{KEY[1]}/orders/447452/allocations"),
    "no key": request(headers=(JSON_TYPE,)),
    "no media type": request(headers=(KEY,)),
    "a form": request(headers=(("content-type", "application/x-www-form-urlencoded"), KEY)),
    "no body": request(body=b""),
    "a number that is not finite": request(body=b'{"allocation": {"warehouse_id": NaN, "line_items_attributes": 1e999}}'),
    "a member twice": request(body=b'{"allocation": {}, "allocation": {}, "allocation": {"line_items_attributes": []}}'),
    "a byte order mark": request(body=b"\xef\xbb\xbf[]"),
}  # fmt: skip

PLAIN = (("content-type", "text/plain"), ("location", "/orders/447452"))
RESPONSES = {
    "200": response(200),
    "302": response(302),
    "422": response(422, body=b""),
    "500": response(500, body=b""),
    "an error that is a page": response(500, body=b"<html>"),
    "an error of another form": response(422, body=b'{"errors": ["x", "y"]}'),
    "a stack trace": response(500, body=b'{"error_messages": "app.py\\", line 3, in f\\nTraceback (most recent call last):"}'),
    "a database error": response(500, body=b'{"error_messages": "PG::UniqueViolation"}'),
    "a path of the server": response(500, body=b'{"error_messages": "no such file /home/app/orders.rb"}'),
    "no media type": response(headers=(("location", "/orders/447452"),)),
    "another media type": response(headers=PLAIN),
    "no location": response(headers=(JSON_TYPE,)),
    "a location that is no URI": response(headers=(JSON_TYPE, ("location", "/orders/447452 or so"))),
    "the location of another order": response(headers=(JSON_TYPE, ("location", "/orders/1"))),
    "no body": response(body=b""),
    "text that is no JSON": response(body=b'{"id": 1,\n "number": }'),
    "bytes that are no UTF-8": response(body=b'{"id": "\xff"}'),
    "65 levels": response(body=b"[" * 65 + b"]" * 65),
    "a list": response(body=b"[1]"),
}  # fmt: skip

PAIRS = {
    "another order than the one asked for": Interaction(request("/orders/5/allocations"), response()),
    "no allocation that answers": Interaction(
        request(body=json.dumps(put(request_body(), "/allocation/warehouse_id", 5)).encode()), response()
    ),
    "fewer units requested than allocated": Interaction(
        request(body=json.dumps(allocation_request()).encode()),
        response(body=json.dumps(put(order(), "/allocations/0/line_items/0/quantity", 2)).encode()),
    ),
}

SENT_AGAIN: dict[str, tuple[Response | None, Ending]] = {
    "after a 5xx": (response(503), "answered"),
    "after an answer that was cut off": (None, "unanswered"),
    "after an answer that is no JSON": (response(body=b"{"), "answered"),
}


def files() -> dict[str, Findings]:
    return {
        "an old recording": STRICT.file_findings(
            age_breaches(
                STRICT.settings.deviations.today - datetime.timedelta(days=8), STRICT.settings.deviations.today, 7
            )
        ),
        "a recording without a date": STRICT.file_findings(age_breaches(None, STRICT.settings.deviations.today, 7)),
        "a cassette of version 2": STRICT.file_findings([format_breach(2)]),
        "a cassette of no version": STRICT.file_findings([format_breach("v1")]),
        "secrets": STRICT.lint(
            Interaction(
                request(
                    f"https://me:hunter2pass@api.example.com/orders/1/allocations?next=a&mail=person@company.co.uk&api_key={KEY[1]}",
                    headers=(("cookie", "session=8c1f2a9be07d44c3"), ("x-api-key", "8c1f2a9be07d44c3a1")),
                    body=b'{"phone": 442071234567, "note": "8c1f2a9be07d44c3a1b2c3d4e5f60718", "card": "4242424242424242"}',
                ),
                response(headers=(), body=b"contact=person@company.co.uk"),
            )
        ),
    }


def findings_by_case() -> Iterator[tuple[str, Findings]]:
    """Yield each case with its findings."""
    for name, sent in REQUESTS.items():
        yield f"request: {name}", STRICT.check(Interaction(sent))
    for name, answer in RESPONSES.items():
        yield f"response: {name}", STRICT.check(Interaction(None, answer))
    yield (
        "response: 404 where 422 was expected",
        STRICT.check(Interaction(None, response(404, body=b"")), CheckContext(frozenset({422}))),
    )
    yield (
        "response: 201 to a broken request",
        STRICT.check(Interaction(None, response()), CheckContext(broken_request=True)),
    )
    yield (
        "response: 500 to a broken request",
        STRICT.check(Interaction(None, response(500, body=b"")), CheckContext(broken_request=True)),
    )
    yield (
        "response: 302 to a broken request",
        STRICT.check(Interaction(None, response(302)), CheckContext(broken_request=True)),
    )
    for name, pair in PAIRS.items():
        yield f"pair: {name}", STRICT.check(pair)
    for name, (first, ending) in SENT_AGAIN.items():
        both: list[Seen] = [(Interaction(request(), first), ending), (Interaction(request(), response()), "answered")]
        yield f"sequence: sent again {name}", STRICT.evaluate_sequence(both)
    yield "served: an unknown call", STRICT.evaluate_served(request("/warehouses", method="GET", body=None), [])[0]
    yield "sequence: a key at another host", STRICT.evaluate_sequence([(Interaction(request()), "elsewhere")])
    for rule in sorted(SUITE_RULES):
        location = "call" if CATALOGUE[rule].sides == ("client",) else "status"
        yield f"suite: {rule}", STRICT.check_behaviour(rule, Breach(rule, None, "what was found", location=location))
    for name, findings in files().items():
        yield f"file: {name}", findings
    for name in sorted(CASES):
        yield f"body: {name}", Engine(CASES[name]["profile"]).check_body(CASES[name]["side"], body_of(CASES[name]))


def failures() -> Iterator[tuple[str, ContractViolation]]:
    """Yield whole failures, also such as leave something out or have a last sentence."""
    everything: Any = {name: object() for name in order()} | {"line_items": [{}] * 500, "extra": 1}
    warned = order() | {f"extra_{number}": 1 for number in range(9)} | {"shipped_at": "x", "total_price": 20, "id": -1}
    warned = put(put(warned, "/updated_at", "x"), "/delivery_cost", -1)
    known = Deviation("null-value", "the partner sends it", pointer="/customer")
    bare = json.dumps(request_body()["allocation"]).encode()
    yield "one of many fields", STRICT.violation(STRICT.check_body("response", b'{"id": NaN, "notes": null}'))
    yield "everything", ContractViolation(STRICT.check_body("response", everything), "a last sentence")
    yield "both sides", STRICT.violation(STRICT.check(Interaction(request(body=bare), response(headers=()))))
    yield "many warnings", DOCUMENTED.violation(Engine().check_body("response", warned))
    yield (
        "what is known",
        DOCUMENTED.violation(DOCUMENTED.check_body("response", put(order(), "/customer", None))),
    )
    accepting = Engine(deviations=[known])
    yield (
        "what is accepted",
        accepting.violation(accepting.check_body("response", put(put(order(), "/customer", None), "/id", "x"))),
    )
    full: Any = order()
    texts, flags, numbers = (
        [name for name, value in full.items() if type(value) in kinds][:4] for kinds in ((str,), (bool,), (int, float))
    )
    full |= dict.fromkeys(texts, 1) | dict.fromkeys(flags, "x") | dict.fromkeys(numbers, "xy")
    yield "as much as there is room for", STRICT.violation(STRICT.check_body("response", full))
    yield "one line more", ContractViolation(STRICT.check_body("response", full), "a last sentence")
    many = put(put(put(order(), "/updated_at", "x"), "/customer", None), "/extra", 1)
    many = put(put(put(many, "/id", -1), "/delivery_cost", -1), "/line_items/0/quantity", 0.5)
    yield "many rules", STRICT.violation(STRICT.check_body("response", many))
    for places in (4, 5):
        lines = [{"sellable_id": number} for number in range(1, places + 1)]
        body = {"allocation": {"warehouse_id": 5, "line_items_attributes": lines}}
        yield f"one thing in {places} places", STRICT.violation(STRICT.check_body("request", body))


def rows() -> Iterator[str]:
    """Yield the findings of a request as JSON."""
    sent = request(
        f"{URL}?{'x' * 99}=1",
        body=b'{"allocation": {"warehouse_id": 5, "line_items_attributes": [{"sellable_id": "7"}]}}',
    )
    for finding in STRICT.check(Interaction(sent)):
        yield json.dumps(finding.as_row())


def counted() -> Iterator[str]:
    """Yield the lines of a report of all cases: evaluations per rule, findings, calls, deviations and drift."""
    notebook = CoverageCounter()
    contract = Engine("strict", deviations=[Deviation("null-value", "known", pointer="/customer")]).with_listener(
        notebook
    )
    for sent in REQUESTS.values():
        contract.check(Interaction(sent))
    for answer in RESPONSES.values():
        contract.check(Interaction(request(), answer))
    for status in (299, 300, 399, 400, 404, 499, 500):
        for expected in (None, 201, 404):
            contract.check(
                Interaction(None, response(status)), CheckContext(None if expected is None else frozenset({expected}))
            )
            contract.check(Interaction(request(), response(status, headers=())), CheckContext(broken_request=True))
    for body in (
        put(order(), "/customer", None),
        put(order(), "/due_date", "x"),
        put(order(), "/colour", [1]),
        {"id": "x"},
    ):
        contract.check_body("response", body)
    document = report_of(notebook, contract)
    (run,) = document["runs"]
    for origin, row in run["origins"].items():
        yield f"{origin}: {row['interactions']} interactions, statuses {json.dumps(row['statuses'])}"
        yield from (f"    {rule} {json.dumps(counts)}" for rule, counts in row["rules"].items())
        yield from (f"    {json.dumps(finding)}" for finding in row["findings"])
        yield from (f"    {json.dumps(call)}" for call in row["calls"])
        yield f"    {json.dumps(row['undocumented'])}"
    yield from (f"deviation {json.dumps(deviation)}" for deviation in run["deviations"])
    for drift, (met, looked) in find_drift(document, field_trees()).items():
        if drift.kind != "sometimes absent":
            yield f"drift {drift.origin} {drift.side} {drift.pointer}: {drift.what}: {met} of {looked}"


def text_of(findings: Findings) -> str:
    """Return findings as a person reads them, with equal ones together, so that 300 absent fields are one."""
    places: dict[tuple[str, ...], list[str]] = {}
    for f in findings:
        key = (f"{f.severity} {f.rule} ({f.basis})", f"wanted {f.wanted}", f"got {f.got}", f"do {f.remedy}")
        places.setdefault(key, []).append(f"{f.side} {f.place}")
    lines = []
    for parts, found in places.items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        lines += [f"{found[0]}{more}", *(f"    {part}" for part in parts)]
    return "\n".join(lines)


FINDINGS = dict(findings_by_case())
FAILURES = dict(failures())


@pytest.mark.parametrize("name", FINDINGS)
def test_finding_is_worded_as_approved(name: str, snapshot: SnapshotAssertion) -> None:
    assert text_of(FINDINGS[name]) == snapshot


@pytest.mark.parametrize("name", FAILURES)
def test_failure_is_worded_as_approved(name: str, snapshot: SnapshotAssertion) -> None:
    assert str(FAILURES[name]) == snapshot


def test_rows_of_findings_are_as_approved(snapshot: SnapshotAssertion) -> None:
    assert list(rows()) == snapshot


def test_report_of_all_cases_is_as_approved(snapshot: SnapshotAssertion) -> None:
    assert list(counted()) == snapshot


def test_every_rule_has_an_approved_finding() -> None:
    assert {finding.rule for findings in FINDINGS.values() for finding in findings} == set(CATALOGUE)
