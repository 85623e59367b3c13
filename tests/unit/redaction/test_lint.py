"""Lint of stored interactions: secrets are found, what is obviously fake is not, and age and format are told."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from support import canaries
from support.bodies import allocation_request, order

from pytest_veeqo_alloc import Interaction, Request, Response, redact
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.strategies import allocation_interactions

KEY = "a8f5f167f44f4964e6c998dee827110c"


def found(interaction: Interaction) -> list[tuple[str, str | None, str]]:
    findings = Engine().lint(interaction)
    assert {(finding.rule, finding.side) for finding in findings} <= {("cassette-secret", "file")}
    return [(finding.location, finding.pointer, finding.got) for finding in findings]


def in_body(body: object) -> list[str]:
    return [
        got.partition(", in")[0] for _, _, got in found(Interaction(None, Response(200, (), json.dumps(body).encode())))
    ]


def in_header(name: str, value: str) -> list[str]:
    return [got.partition(", in")[0] for _, _, got in found(Interaction(Request("GET", "/x", ((name, value),))))]


KEY_LIKE, MAIL, CARD = "what is named like a key", "an e-mail address", "a card number"
PHONE, RANDOM = "a telephone, card or tax number", "a string that looks random"


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({"api_key": "hunter22"}, [KEY_LIKE]),
        ({"password_reset_token": "abcdef"}, [KEY_LIKE]),
        ({"note": "write to jane.doe@corp.co.uk"}, [MAIL]),
        ({"jane@corp.io": 1}, [MAIL]),
        ({"note": "card 4111 1111 1111 1111 exp"}, [CARD]),
        ({"card": {"number": 4111111111111111}}, [PHONE]),
        ({"phone": "020 1111 2222"}, [PHONE]),
        ({"mobile": 2011112222}, [PHONE]),
        ({"note": "+44 20 1111 2222"}, [PHONE]),
        ({"vat_number": "GB123"}, []),
        ({"vat_number": "923456785"}, [PHONE]),
        ({"note": f"use {KEY} please"}, [RANDOM]),
        ({"note": "sk_live_4eC39HqLyjWDarjtT1zdp7dc"}, [RANDOM]),
        ({"a": [{"b": KEY}, {"b": "x"}]}, [RANDOM]),
        ({"url": f"https://cdn.corp.io/{KEY}.png"}, []),
        ({"url": f"https://cdn.corp.io/a.png?sig={KEY}"}, [RANDOM]),
        ({"url": f"http://cdn.corp.io/a.png?sig={KEY}"}, [RANDOM]),
        ({"token": "a1b2"}, [KEY_LIKE]),
        ({"token": "test" * 51}, [KEY_LIKE]),
        ({"note": "4111-1111-1111-1111"}, [CARD]),
        ({"ref": "4111111111111111"}, [CARD]),
        ({"mobile": 2011112}, [PHONE]),
        ({"ref": 378282246310005}, [PHONE]),
        ({"ref": 5555555555554444}, [PHONE]),
        ({"ref": 6011111111111117}, [PHONE]),
        ({"note": "a1B2c3D4e5F6g7H8i9J0"}, [RANDOM]),
        # Kinds of characters next to each other, the fewest digits, changes and bits of entropy that there may be.
        ({"note": "aBcDeFgHiJkLmNoPqRs12"}, [RANDOM]),
        ({"note": "abcd/efg/hij/klm/no12"}, [RANDOM]),
        ({"note": "AB-CD-EF-GH-IJ-KL-12M"}, [RANDOM]),
        ({"note": "12-34-56-78-90-13-24ab"}, [RANDOM]),
        ({"note": "abcdefgh12IJKLmn34OP"}, [RANDOM]),
        ({"note": "aB1cD2eFaB1cD2eFaB1cD2eF"}, [RANDOM]),
    ],
)
def test_what_looks_like_a_secret_in_a_body_is_found(body: object, kinds: list[str]) -> None:
    assert in_body(body) == kinds


@pytest.mark.parametrize(
    "body",
    [
        order(),
        {"api_key": None}, {"api_key": ""}, {"api_key": "REDACTED"}, {"token": "****"}, {"api_key": "0" * 32},
        {"token": "test-key-1"}, {"email": "anybody@example.com"}, {"email": "a@shop.test"},
        {"phone": "+44 20 7946 0000"}, {"phone": "020 7946 0123"}, {"phone": "555-555-0123"}, {"phone": 7946000001},
        {"id": 4111111111111111}, {"remote_id": "4111111111111111"}, {"upc_code": "4006381333931"},
        {"note": "BUSINESS_MONTHLY_20160309"}, {"note": "9f8e7d6c-5b4a-4321-8765-0123456789ab"},
        {"token": "a1b"}, {"token": "test" * 50}, {"token": "abababab"}, {"mobile": 201111}, {"mobile": 2011112222.5},
        {"ref": 4111111111111112}, {"ref": 30569309025904}, {"ref": 2223003122003222}, {"ref": 4111111111111111.5},
        {"ref": True}, {"refId": 4111111111111111}, {"refId": "4111 1111 1111 1111"}, {"mobile": 10**21},
        {"note": "+1 212 555 0123"}, {"note": "a1B2c3D4e5F6g7H8i9J"}, {"note": "abcDEFghiJKLmnoPQRst1"},
        {"note": "1111111111aaaaaaaaaabbbbbbbbbb"}, {"note": "a1a1a1a1a1a1a1a1a1a1a1a1"},
        {"note": "ab12CD34ab12CD34ab12"}, {"note": "abcdef12ABCDEFghijklmn"},
        {"created_at": "2016-04-06T12:25:40Z"}, {"note": "a perfectly ordinary sentence of some length"},
    ],
)  # fmt: skip
def test_what_is_obviously_fake_or_no_secret_is_not(body: object) -> None:
    assert in_body(body) == []


@pytest.mark.parametrize(
    ("name", "value", "kinds"),
    [
        ("x-api-key", KEY, [KEY_LIKE]),
        ("Authorization", "Bearer abcd1234", [KEY_LIKE]),
        ("Authorization", "Bearer redacted-1", []),
        ("Cookie", "session=abc", [KEY_LIKE]),
        ("Set-Cookie", "REDACTED", []),
        ("X-Whatever", KEY, [RANDOM]),
        ("ETag", f'W/"{KEY}"', []),
        ("X-Request-Id", KEY, []),
        ("From", "jane@corp.io", [MAIL]),
        ("x-api-key", "DUMMY", []),
        ("Location", "https://h/orders/1?order_id=redacted-23", []),
        ("Location", f"https://h/orders/{KEY}", []),
        ("Location", f"https://h/orders/1?sig={KEY}", [RANDOM]),
        ("Authorization", "a1b2c3d4", [KEY_LIKE]),
        ("Authorization", "Basic REDACTED", []),
        ("Authorization", "Digest REDACTED", []),
        ("Authorization", "Digest hunter22 REDACTED", [KEY_LIKE]),
        ("Location", f"/orders/{KEY}", []),
        ("Proxy-Authorization", "Basic a1b2c3d4", [KEY_LIKE]),
        ("Set-Cookie", "a=b; Path=/", [KEY_LIKE]),
        ("User-Agent", KEY, []),
        ("traceparent", f"00-{KEY}-00f067aa0ba902b7-01", []),
    ],
)
def test_headers_are_looked_at_by_name_and_value(name: str, value: str, kinds: list[str]) -> None:
    assert in_header(name, value) == kinds


def test_a_url_is_looked_at_in_all_its_parts() -> None:
    url = f"https://joe:hunter22@h/{KEY}/x?token=abcdef&mail=a%40corp.io"
    assert sorted((location, got) for location, _, got in found(Interaction(Request("GET", url)))) == [
        ("path", f"{RANDOM}, in the request"),
        ("path", "a user name or password, in the request"),
        ("query:mail", f"{MAIL}, in the request"),
        ("query:token", f"{KEY_LIKE}, in the request"),
    ]


@pytest.mark.parametrize(
    ("user", "is_told"), [("a@b:hunter22", True), ("aa:bbb", False), (":hunter22", True), ("joe", True)]
)
def test_a_user_of_a_url_is_looked_at_in_its_parts(user: str, is_told: bool) -> None:
    told = [("path", None, "a user name or password, in the request")] if is_told else []
    assert found(Interaction(Request("GET", f"https://{user}@h/x"))) == told


def test_a_url_that_is_none_is_passed_over() -> None:
    assert found(Interaction(Request("GET", "http://[x"))) == []


def test_bodies_that_are_no_json_are_looked_at_as_text_and_forms() -> None:
    form = Request("POST", "/x", (), b"user=a&password=hunter22")
    page = Response(500, (), f"<p>jane@corp.io {KEY}</p>".encode())
    assert [got for _, _, got in found(Interaction(form, page))] == [
        f"{KEY_LIKE}, in the request", f"{MAIL}, in the response",
    ]  # fmt: skip


def test_what_was_redacted_holds_no_secret() -> None:
    assert [each for interaction in redact(canaries.interactions()) for each in found(interaction)] == []


@given(interaction=allocation_interactions())
def test_nothing_redacted_is_taken_for_a_secret(interaction: Interaction) -> None:
    assert found(redact(interaction)) == []


def test_a_message_quotes_no_secret() -> None:
    for interaction in canaries.interactions():
        assert "canary" not in "".join(str(finding) for finding in Engine().lint(interaction)).lower()


def cassette(path: Path, *, key: str = "REDACTED", date: str = "", version: int = 1, stamp: str = "") -> str:
    response = {"status": {"code": 201, "message": "Created"}, "headers": {"content-type": ["application/json"],
                "location": ["/orders/447452"]}, "body": {"string": json.dumps(order())}}  # fmt: skip
    if date:
        response["headers"]["date"] = [date]
    body = json.dumps(allocation_request())
    request = {"method": "POST", "uri": "https://h/orders/447452/allocations", "body": body,
               "headers": {"x-api-key": [key], "content-type": ["application/json"]}}  # fmt: skip
    document = {"interactions": [{"request": request, "response": response}], "version": version}
    path.write_text(json.dumps(document | ({"veeqo_alloc": {"recorded_on": stamp}} if stamp else {})), encoding="utf-8")
    return str(path)


def rules(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    status = main(["check", "--format", "json", *arguments])
    out = capsys.readouterr().out
    return status, [finding["rule"] for finding in json.loads(out)["findings"]] if out else []


def test_the_plain_check_stays_about_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cassette(tmp_path / "a.json", key=KEY)
    assert rules(capsys, path) == (0, [])
    assert rules(capsys, "--lint", path) == (1, ["cassette-secret"])
    assert rules(capsys, "--lint", "--rule", "cassette-secret=warning", path) == (0, ["cassette-secret"])
    assert rules(capsys, "--lint", "--profile", "lenient", path) == (0, ["cassette-secret"])


def test_another_version_is_a_finding_of_the_lint_and_a_trouble_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cassette(tmp_path / "a.json", version=2)
    assert rules(capsys, "--lint", path) == (1, ["cassette-format"])
    assert rules(capsys, path)[0] == 2


TODAY = datetime.date.today()
LONG_AGO = (TODAY - datetime.timedelta(days=100)).isoformat()


def test_age_is_told_by_the_stamp_else_by_the_clock_of_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stamped = cassette(tmp_path / "a.json", stamp=LONG_AGO)
    dated = cassette(tmp_path / "b.json", date="Wed, 21 Oct 2015 07:28:00 GMT")
    silent = cassette(tmp_path / "c.json")
    assert rules(capsys, "--lint", stamped, dated, silent) == (0, [])
    assert rules(capsys, "--lint", "--max-age", "99", stamped, dated, silent) == (1, ["cassette-too-old"] * 3)
    assert rules(capsys, "--lint", "--max-age", "100", stamped) == (0, [])
    main(["check", "--lint", "--max-age", "99", stamped, silent])
    text = capsys.readouterr().out
    assert "got     100 days" in text
    assert "got     no date of recording" in text


@pytest.mark.parametrize(("given", "sentence"), [("-1", "a whole number of days"), ("x", "a whole number of days")])
def test_an_age_is_a_whole_number_of_days(given: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["check", "--lint", f"--max-age={given}", "x"])
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_an_age_without_the_lint_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--max-age", "3", "x"]) == 2
    assert capsys.readouterr().err == "veeqo-alloc: --max-age is looked at with --lint only: give both\n"


def test_the_lint_looks_at_every_call_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(cassette(tmp_path / "a.json", key=KEY))
    path.write_text(path.read_text().replace("/orders/447452/allocations", "/products"), encoding="utf-8")
    assert rules(capsys, str(path))[0] == 2
    assert rules(capsys, "--lint", str(path)) == (1, ["cassette-secret"])
