"""The response fields that a client uses: which findings concern it, and what a tracker notes."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from support.bodies import BODY, drop, order, put
from support.reports import coverage_of

from pytest_veeqo_alloc import Contract, Interaction, Request, Response
from pytest_veeqo_alloc.capture.client_objects import Tracker
from pytest_veeqo_alloc.contract.deviations import Uses, update_uses
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import documented_fields, load_uses

FIVE = ("/id", "/allocations/*/id", "/allocated_completely", "/deliver_to/zip", "/line_items/*/quantity")


def test_client_of_five_fields_is_concerned_by_these_and_by_no_other_field() -> None:
    contract, concerned = Contract(uses=FIVE), {}
    for pointer in sorted(documented_fields()):
        place = pointer.replace("/*/", "/0/")
        findings = contract.check_body("response", drop(order(), place))
        rules = {"absent-field", "required-field"}
        concerned[pointer] = any(error.rule in rules for error in findings.errors)
        assert concerned[pointer] or any(finding.rule in rules for finding in findings.unused), pointer
    parents = {"/allocations", "/deliver_to", "/line_items"}
    assert {pointer for pointer, is_concerned in concerned.items() if is_concerned} == {*FIVE, *parents}


@pytest.mark.parametrize(
    ("pointer", "value", "is_concerned"),
    [
        ("/deliver_to", None, True),  # what contains a used field
        ("/allocations/0", None, True),
        ("/deliver_to/colour", "red", False),
        ("/tags", None, True),  # a listed array or object without a listed field in it counts as a whole
        ("/customer/phone", None, True),
        ("/customer/colour", "red", True),
        ("/payment", None, False),
    ],
)
def test_change_concerns_what_is_used(pointer: str, value: Any, is_concerned: bool) -> None:
    findings = Contract(uses=[*FIVE, "/tags", "/customer"]).check_body("response", put(order(), pointer, value))
    assert (len(findings) > 0, len(findings.unused) > 0) == (is_concerned, not is_concerned)


def test_unused_findings_are_one_number_in_a_failure() -> None:
    body = drop(drop(drop(order(), "/id"), "/payment"), "/number")
    first, *_ = str(
        Contract(uses=FIVE)._engine.violation(Contract(uses=FIVE).check_body("response", body))
    ).splitlines()
    assert first.endswith(": 1 error, 2 of no concern to the client (profile documented)")
    assert Contract(uses=FIVE).validate_body("response", drop(order(), "/payment")).ok


def test_request_status_headers_and_echo_concern_every_client() -> None:
    answer = Response(200, (("Content-Type", "text/html"),), json.dumps(order() | {"allocations": []}).encode())
    request = Request("POST", "http://shop.example.com/orders/1/allocations?page=1", (("x-api-key", "any"),), b"")
    found = {finding.rule for finding in Contract(uses=["/number"]).check(Interaction(request, answer))}
    assert {"body-missing", "undocumented-query", "wrong-status", "response-media-type", "order-echo"} <= found
    sent = Request(
        "POST", "http://shop.example.com/orders/447452/allocations", (("x-api-key", "any"),), json.dumps(BODY).encode()
    )
    empty = Interaction(sent, answer)
    assert "allocation-echo" in {finding.rule for finding in Contract(uses=["/number"]).check(empty)}
    assert not Contract(uses=["/number"]).check_body("response", b"[]").ok


def test_findings_keep_what_is_unused() -> None:
    engine = Engine(uses=FIVE)
    findings = engine.check_body("response", drop(order(), "/payment"))
    assert engine.merge([findings, findings]).unused == findings.unused * 2
    assert findings.where(lambda finding: False).unused == ()
    accepted = Engine(uses=FIVE, deviations=["observed"]).check_body("response", put(order(), "/payment", None))
    assert (len(accepted.accepted), accepted.unused) == (1, ())


# Lists of fields


def test_uses_come_from_pointers_and_files(tmp_path: Path) -> None:
    path = tmp_path / "uses.txt"
    path.write_text("\ufeff# ours\n/id # shown\n\n/allocations/0/id\n", encoding="utf-8")
    assert load_uses(path) == ("/id", "/allocations/0/id")
    assert Uses(load_uses(str(path))).pointers == ("/allocations/*/id", "/id")
    assert Contract(uses=str(path))._engine.settings.uses is not None
    assert Contract()._engine.settings.uses is None


BAD = {
    "/alocations/*/id": "no documented response field '/alocations/*/id': did you mean '/allocations/*/id'?",
    "/####": "no documented response field '/####': such as '/allocations/*/id'",
    "uses.txt": "no such file of used fields: 'uses.txt'; a single field begins with '/'",
}


@pytest.mark.parametrize(("named", "sentence"), BAD.items())
def test_field_that_is_not_documented_is_rejected(
    named: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the sentence is compared below
        Contract(uses=[named])
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"/id\n/nubmer\n", "uses.txt': no documented response field '/nubmer': did you mean '/number'?"),
        (b"# nothing\n", "uses.txt': it lists no field: write one on each line"),
        (b"\xff", "uses.txt': not UTF-8"),
        (None, "uses.txt' cannot be read: Is a directory"),
    ],
)
def test_file_that_cannot_be_used_is_rejected_with_its_name(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "uses.txt"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the sentence is compared below
        Contract(uses=[path])
    assert words in str(caught.value)


def test_updated_list_keeps_comments_and_after_a_part_of_the_tests_every_field() -> None:
    old = "# ours\n/number # on the label\n\n/id\n# read, but not documented: /gone\n"
    assert update_uses(old, ["/id", "/status"], ["/colour"], keep=False) == (
        "# ours\n\n/id\n/status\n# read, but not documented: /colour\n"
    )
    assert update_uses(old, ["/id", "/status"], [], keep=True) == "# ours\n/number # on the label\n\n/id\n/status\n"
    assert update_uses("", ["/id"], [], keep=False).splitlines()[1:] == ["/id"]


# Trackers


def tracker(body: Any = None) -> Tracker:
    return Contract().track(order() if body is None else body)


def test_tracker_notes_each_field_that_is_read_and_no_other() -> None:
    with tracker() as uses:
        view = uses.order
        assert view["id"] == 447452
        assert [allocation["id"] for allocation in view["allocations"]] == [323498]
        assert view["allocations"][0]["line_items"][-1].get("quantity") == 1
        assert "allocated_completely" in view
        assert view.get("colour", 5) == 5
        assert len(view["line_items"][:1]) == 1
        assert view["tags"] == order()["tags"]
    assert uses.fields == (
        "/allocated_completely",
        "/allocations/*/id",
        "/allocations/*/line_items/*/quantity",
        "/id",
        "/line_items",
        "/tags",
    )
    assert uses.undocumented == ("/colour",)
    assert repr(uses).startswith("<Tracker: /allocated_completely, ")


def test_everything_that_reads_a_whole_object_notes_all_of_it() -> None:
    def of_address(pointer: str) -> bool:
        return pointer.startswith("/deliver_to/")

    for read in (dict, lambda view: list(view.items()), lambda view: [*view.values()], lambda view: view == {}):
        with tracker() as uses:
            read(uses.order["deliver_to"])
        assert set(uses.fields) == set(filter(of_address, documented_fields()))


def test_view_is_read_only_and_its_copies_are_tracked() -> None:
    uses = tracker()
    view = copy.deepcopy(copy.copy(uses.order))
    assert (len(view), [*view], repr(view)) == (41, [*order()], "<tracked object at the root>")
    assert repr(view["tags"]) == "<tracked array at /tags/*>"
    assert view["deliver_to"]["zip"] == order()["deliver_to"]["zip"]
    assert uses.fields == ("/deliver_to/zip", "/tags")
    with pytest.raises(TypeError):
        view["id"] = 1
    with pytest.raises(TypeError):
        json.dumps(view)
    with pytest.raises(TypeError, match="a tracked order cannot be pickled"):
        pickle.dumps(view)
    with pytest.raises(TypeError):
        hash(view["tags"])


@pytest.mark.parametrize("value", [b"{}", "{}", [1], None])
def test_only_a_parsed_order_is_tracked(value: Any) -> None:
    with pytest.raises(TypeError, match="track takes an order as parsed JSON, a dict, not "):
        Contract().track(value)


def test_closed_tracker_reports_its_fields_once_with_names_masked() -> None:
    def read(engine: Engine) -> None:
        with engine.track(order() | {"a secret name": 1}) as uses:
            assert uses.order["a secret name"] + uses.order["id"]
        uses.close()

    coverage = coverage_of(read)
    assert (coverage.interactions, coverage.read) == (0, {"/id": 1})
    assert coverage.read_undocumented == {"/(name of 13 characters)": 1}
