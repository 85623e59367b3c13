"""Lint of stored interactions: secrets, age and format."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from support import canaries
from support.bodies import allocation_request, order
from support.examples import FEWER

from pytest_veeqo_alloc import Deviation, Interaction, Request, Response, redact
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.redaction.lint import body_breaches, is_dummy_value, mask_secrets
from pytest_veeqo_alloc.strategies import allocation_interactions

KEY = "a8f5f167f44f4964e6c998dee827110c"


def secrets(interaction: Interaction) -> list[tuple[str, str | None, str]]:
    findings = Engine().lint(interaction)
    assert {(finding.rule, finding.side) for finding in findings} <= {("cassette-secret", "file")}
    return [(finding.location, finding.pointer, finding.got) for finding in findings]


def in_body(body: object) -> list[str]:
    return [
        got.partition(" in the ")[0]
        for _, _, got in secrets(Interaction(None, Response(200, (), json.dumps(body).encode())))
    ]


def in_header(name: str, value: str) -> list[str]:
    return [got.partition(" in the ")[0] for _, _, got in secrets(Interaction(Request("GET", "/x", ((name, value),))))]


KEY_LIKE, MAIL, CARD = "something that looks like a credential", "an e-mail address", "a card number"
PHONE, RANDOM = "a telephone, card or tax number", "a random-looking string"


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
        ({"note": "sk_live_4eC39HqLyjWDarjtT1zdp7dc"}, [KEY_LIKE]),
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
def test_secret_in_a_body_is_found(body: object, kinds: list[str]) -> None:
    assert in_body(body) == kinds


@pytest.mark.parametrize(
    "body",
    [
        order(),
        {"api_key": None}, {"api_key": ""}, {"api_key": "REDACTED"}, {"token": "****"}, {"api_key": "0" * 32},
        {"token": "test-key-1"}, {"email": "anybody@example.com"}, {"email": "a@shop.test"},
        {"phone": "+44 20 7946 0000"}, {"phone": "020 7946 0123"}, {"phone": "555-555-0123"}, {"phone": 442079460000001},
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
def test_dummy_values_and_ordinary_values_are_no_secrets(body: object) -> None:
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
def test_secret_in_a_header_is_found_by_name_and_value(name: str, value: str, kinds: list[str]) -> None:
    assert in_header(name, value) == kinds


def test_secrets_in_every_part_of_a_url_are_found() -> None:
    url = f"https://joe:hunter22@h/{KEY}/x?token=abcdef&mail=a%40corp.io"
    assert sorted((location, got) for location, _, got in secrets(Interaction(Request("GET", url)))) == [
        ("path", f"{RANDOM} in the request"),
        ("path", "a user name or password in the request"),
        ("query:mail", f"{MAIL} in the request"),
        ("query:token", f"{KEY_LIKE} in the request"),
    ]


@pytest.mark.parametrize(
    ("user", "is_found"), [("a@b:hunter22", True), ("aa:bbb", False), (":hunter22", True), ("joe", True)]
)
def test_user_name_and_password_in_a_url_are_found(user: str, is_found: bool) -> None:
    expected = [("path", None, "a user name or password in the request")] if is_found else []
    assert secrets(Interaction(Request("GET", f"https://{user}@h/x"))) == expected


def test_invalid_url_is_skipped() -> None:
    assert secrets(Interaction(Request("GET", "http://[x"))) == []


def test_secrets_in_forms_and_plain_text_are_found() -> None:
    form = Request("POST", "/x", (), b"user=a&password=hunter22")
    page = Response(500, (), f"<p>jane@corp.io {KEY}</p>".encode())
    assert [got for _, _, got in secrets(Interaction(form, page))] == [
        f"{KEY_LIKE} in the request", f"{MAIL} in the response",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "key", ["sk-live-abcdefghijklmnop", "sk_test_abcdefghijklmnop", "ghp_abcdefghijklmnop", "AKIAABCDEFGHIJKLMNOP"]
)
def test_key_of_a_well_known_service_is_found_as_a_name_and_as_a_value(key: str) -> None:
    message = Request(
        "POST", f"https://h/{key}?{key}=1", (("x-note", f"see {key}"),), json.dumps({"note": key, key: 1}).encode()
    )
    assert {(place, pointer) for place, pointer, _ in secrets(Interaction(message))} == {
        ("path", None), (f"query:{key}", None), ("header:x-note", None), ("body", "/note"), ("body", f"/{key}"),
    }  # fmt: skip
    form = Request("POST", "/x", (), f"{key}=1".encode())
    assert [got for _, _, got in secrets(Interaction(form))] == [
        "something that looks like a credential in the request"
    ]


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (Request("GET", "/x", (("x-api-key", KEY),)), "run veeqo-alloc redact --in-place on the file, then revoke the credential: it is compromised if others could read the file"),
        (Request("GET", "https://joe:hunter22@h/x"), "run veeqo-alloc redact --in-place on the file, then change the password: it is compromised if others could read the file"),
        (Response(200, (), b'["jane@corp.io"]'), "run veeqo-alloc redact --in-place on the file"),
        (Response(200, (), b'{"phone": "020 1111 2222"}'), "run veeqo-alloc redact --in-place on the file"),
        (Response(200, (), b'["4111 1111 1111 1111"]'), "run veeqo-alloc redact --in-place on the file"),
        (Response(200, (), json.dumps([KEY]).encode()), "run veeqo-alloc redact --in-place on the file, or, if the string is harmless, accept it with a deviation"),
    ],
    ids=["credential", "password in a URL", "e-mail address", "telephone number", "card number", "random string"],
)  # fmt: skip
def test_remedy_depends_on_the_kind_of_secret(message: Request | Response, remedy: str) -> None:
    request, response = (message, None) if isinstance(message, Request) else (None, message)
    (finding,) = Engine().lint(Interaction(request, response))
    assert finding.remedy == remedy
    assert list(Engine().lint(redact(Interaction(request, response)))) == []


@pytest.mark.parametrize("side", ["request", "response"])
def test_secret_in_a_body_alone_must_be_replaced_by_hand(side: str) -> None:
    mail, key = Engine().file_findings(body_breaches(side, b'{"a": "jane@corp.io", "api_key": "hunter22"}'))
    assert (mail.pointer, mail.got) == ("/a", f"{MAIL} in the {side}")
    assert mail.remedy == "replace the value in the file with a made-up value"
    assert key.remedy.startswith("replace the value in the file with a made-up value, then revoke the credential")


def test_random_string_can_be_accepted_with_a_deviation() -> None:
    interaction = Interaction(None, Response(200, (), json.dumps([KEY]).encode()))
    accepted = Engine(deviations=[Deviation("cassette-secret", "a fixed build id", pointer="/0")]).lint(interaction)
    assert (len(accepted), len(accepted.accepted)) == (0, 1)


def test_redacted_canaries_hold_no_secret() -> None:
    assert [secret for interaction in redact(canaries.interactions()) for secret in secrets(interaction)] == []


@FEWER
@given(interaction=allocation_interactions())
def test_redacted_interaction_holds_no_secret(interaction: Interaction) -> None:
    assert secrets(redact(interaction)) == []


def test_findings_never_quote_a_secret() -> None:
    for interaction in canaries.interactions():
        assert "canary" not in "".join(str(finding) for finding in Engine().lint(interaction)).lower()


def cassette(path: Path, *, key: str = "REDACTED", date: str = "", version: int = 1, stamp: str = "") -> str:
    response: dict[str, Any] = {"status": {"code": 201, "message": "Created"}, "headers": {"content-type": ["application/json"],
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


def test_check_without_lint_ignores_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cassette(tmp_path / "a.json", key=KEY)
    assert rules(capsys, path) == (0, [])
    assert rules(capsys, "--lint", path) == (1, ["cassette-secret"])
    assert rules(capsys, "--lint", "--rule", "cassette-secret=warning", path) == (0, ["cassette-secret"])
    assert rules(capsys, "--lint", "--profile", "lenient", path) == (0, ["cassette-secret"])


def test_other_version_is_a_finding_with_lint_and_an_error_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cassette(tmp_path / "a.json", version=2)
    assert rules(capsys, "--lint", path) == (1, ["cassette-format"])
    assert rules(capsys, path)[0] == 2


TODAY = datetime.date.today()
LONG_AGO = (TODAY - datetime.timedelta(days=100)).isoformat()


def test_age_comes_from_the_stamp_or_the_date_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamped = cassette(tmp_path / "a.json", stamp=LONG_AGO)
    dated = cassette(tmp_path / "b.json", date="Wed, 21 Oct 2015 07:28:00 GMT")
    silent = cassette(tmp_path / "c.json")
    assert rules(capsys, "--lint", stamped, dated, silent) == (0, [])
    assert rules(capsys, "--lint", "--max-age", "99", stamped, dated, silent) == (1, ["cassette-too-old"] * 3)
    assert rules(capsys, "--lint", "--max-age", "100", stamped) == (0, [])
    main(["check", "--lint", "--max-age", "99", stamped, silent])
    text = capsys.readouterr().out
    assert "got     a recording from 100 days ago" in text
    assert "got     a recording without a date" in text


@pytest.mark.parametrize(
    ("given", "sentence"), [("-1", "a whole number from 0 to 36500"), ("x", "a whole number from 0 to 36500")]
)
def test_max_age_must_be_a_whole_number_of_days(given: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["check", "--lint", f"--max-age={given}", "x"])
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_max_age_without_lint_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--max-age", "3", "x"]) == 2
    assert capsys.readouterr().err == "veeqo-alloc: --max-age requires --lint: give both\n"


def test_lint_checks_every_call_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(cassette(tmp_path / "a.json", key=KEY))
    path.write_text(path.read_text().replace("/orders/447452/allocations", "/products"), encoding="utf-8")
    assert rules(capsys, str(path))[0] == 2
    assert rules(capsys, "--lint", str(path)) == (1, ["cassette-secret"])


MASKED = {
    "x-api-key: abcdef": "x-api-key: [masked]",
    "Authorization: Bearer abcdefgh12": "Authorization: Bearer [masked]",
    '{"api_key": "abcdef12", "id": 3}': '{"api_key": "[masked]", "id": 3}',
    "token => 'abcde12345'": "token => '[masked]'",
    "password=hunter22&page=1": "password=[masked]&page=1",
    "sent with the-key-of-this-call.": "sent with [masked].",
    "http://user:hunter22@shop.example/orders": "[masked]",
    "mail to someone@shop.co": "mail to [masked]",
    "card 4111 1111 1111 1111": "card [masked]",
    "fetch failed at file:///shop/allocate.mjs:12:3, status 404": "fetch failed at file:///shop/allocate.mjs:12:3, status 404",
}


@pytest.mark.parametrize("text", MASKED)
def test_secrets_in_a_text_are_masked(text: str) -> None:
    assert mask_secrets(text, "the-key-of-this-call") == MASKED[text]


@pytest.mark.parametrize(
    ("text", "is_dummy"),
    [("test-key1", True), ("YOUR_API_KEY", True), ("__key__ 1234", True), ("testkeytoken", True), ("test 4111 1111", False),
     ("test12345", False), ("1test", False), ("key é", False), ("keys3cret", False), ("key__" * 39 + "!x", False)],
)  # fmt: skip
def test_dummy_value_consists_of_dummy_words_and_is_recognised_in_linear_time(text: str, is_dummy: bool) -> None:
    assert is_dummy_value(text) is is_dummy
