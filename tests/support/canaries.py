"""Sixty secrets, one in each place of an interaction that can hold one."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import quote

from pytest_veeqo_alloc import Interaction, Request, Response
from support.bodies import order, request_body

FORMS: tuple[Callable[[int], str], ...] = (
    lambda n: f"canary{n:02d}secret",
    lambda n: f"sk_live_canary{n:02d}X9q7",
    lambda n: f"canary{n:02d}@corp.io",
    lambda n: f"Canary {n:02d} Street",
    lambda n: f"https://files.corp.io/canary{n:02d}?sig=canary{n:02d}",
)
"""Formats of secrets; each has its number and the word canary."""

NAMES = {
    "32 hexadecimal digits": "9f86d081884c7d659a2feaa0c55ad015",
    "hexadecimal digits in upper case": "9F86D081884C7D659A2FEAA0C55AD015",
    "16 hexadecimal letters": "deadbeefcafebabe",
    "base64url": "dGhpcyBpcyBhIHNlY3JldCBrZXkh-_8",
    "base64url of letters": "QmFzZUtleVdpdGhvdXREaWdpdHM",
    "upper case": "QWERTZUIOPASDFGHJKLYXCVB",
    "letters": "xkqvbzrtplmwhgfdnjcs",
    "half a key": "a1b2c3d4e5f6a7b8",
    "prefix of a service": "sk-live-abcdefghijklmnop",
    "prefix and underscores": "sk_live_abcdefghijklmnop",
    "telephone number": "02079460123",
}
"""Secrets that a person put where a name belongs."""

PLACES = 60


def secrets() -> list[str]:
    return [FORMS[number % len(FORMS)](number) for number in range(PLACES)]


def interactions() -> list[Interaction]:
    """Return calls that contain all the secrets between them."""
    left = iter(secrets())
    return [_created(left), _gzipped(left), _deflated(left), _form(left), *_errors(left), *_odd(left)]


def _take(left: Iterator[str], count: int) -> list[str]:
    return list(itertools.islice(left, count))


def _created(left: Iterator[str]) -> Interaction:
    user, password, segment, name, value, fragment = _take(left, 6)
    url = (
        f"https://{quote(user, safe='')}:{quote(password, safe='')}@api.example.org/{quote(segment, safe='')}/orders/447452/"
        f"allocations?{quote(name, safe='')}={quote(value, safe='')}#{quote(fragment, safe='')}"
    )
    names = ("x-api-key", "Authorization", "Cookie", "Proxy-Authorization", "User-Agent", "X-Forwarded-For", "Accept")
    headers = [(name, value) for name, value in zip(names, _take(left, 7), strict=True)]
    headers += [("Authorization", f"Bearer {next(left)}"), ("Content-Type", f"application/json; {next(left)}")]
    body = request_body()
    body["allocation"]["note"], body[next(left)], body["nested"] = next(left), 1, {"deep": [{"er": next(left)}]}
    body["allocation"]["line_items_attributes"][0]["sellable_id"] = next(left)
    answer = order()
    answer["status"], answer["customer"]["email"], answer["deliver_to"]["zip"], answer["channel"]["state"] = _take(
        left, 4
    )
    answer["created_at"], answer["allocations"][0]["allocated_by"]["api_key"], answer["currency_code"] = _take(left, 3)
    answer["tags"], answer["notes"] = [next(left), {"text": next(left)}], next(left)
    received = (
        ("Content-Type", "application/json"), ("Set-Cookie", next(left)), ("Location", next(left).replace(" ", "%20")),
        ("X-Request-Id", next(left)), ("Server", next(left)), ("Retry-After", next(left)), ("ETag", next(left)),
    )  # fmt: skip
    request = Request("POST", url, tuple(headers), json.dumps(body).encode())
    return Interaction(request, Response(201, received, json.dumps(answer).encode()))


def _gzipped(left: Iterator[str]) -> Interaction:
    headers = (("Content-Type", "application/json;charset=utf-8"), ("Content-Encoding", "gzip"))
    sent, received = (gzip.compress(json.dumps({"note": secret}).encode(), mtime=0) for secret in _take(left, 2))
    return Interaction(Request("POST", "/orders/1/allocations", headers, sent), Response(201, headers, received))


def _deflated(left: Iterator[str]) -> Interaction:
    headers = (("content-encoding", "deflate"), ("content-type", "application/vnd.api+json; charset=UTF-8"))
    twice = gzip.compress(gzip.compress(json.dumps([next(left)]).encode(), mtime=0), mtime=0)
    received = zlib.compress(json.dumps({"note": next(left)}).encode())
    return Interaction(Request("PUT", "/x", (), twice), Response(200, headers, received))


def _form(left: Iterator[str]) -> Interaction:
    name, value, other = _take(left, 3)
    body = f"{quote(name, safe='')}=1&user={quote(value, safe='')}".encode()
    headers = (("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),)
    return Interaction(
        Request("POST", "/login", headers, body), Response(302, (("location", "/" + quote(other)),), b"")
    )


def _errors(left: Iterator[str]) -> Iterator[Interaction]:
    for status, form in ((400, '{{"error_messages": "{}"}}'), (404, '{{"status": "404", "error": "{}"}}'), (500, "at {}"),
                         (502, "<html><body>{}</body></html>"), (422, '{{"errors": [{{"detail": "{}"}}]}}'),
                         (503, "\ufeff[\"{}\"]")):  # fmt: skip
        yield Interaction(None, Response(status, (("content-type", "text/html"),), form.format(next(left)).encode()))


def _odd(left: Iterator[str]) -> Iterator[Interaction]:
    """Yield calls with the remaining secrets in unreadable bodies, header names and scalars."""
    binary, latin, cut, deep, name, scalar, query, brotli = _take(left, 8)
    yield Interaction(Request("POST", "/x", (), b"\xff\xfe" + binary.encode("utf-16-le")), None)
    yield Interaction(Request("POST", "/x", (), f"é {latin}".encode("latin-1")), None)
    yield Interaction(Request("POST", "/x", (), json.dumps({"a": cut}).encode()[:-1]), None)
    yield Interaction(None, Response(200, (), ("[" * 70 + json.dumps(deep) + "]" * 70).encode()))
    yield Interaction(None, Response(200, ((f"x-{name}", "1"),), json.dumps(scalar).encode()))
    yield Interaction(Request("GET", f"/x?page={quote(query)}&empty", (), None), None)
    yield Interaction(None, Response(200, (("content-encoding", "br"),), brotli.encode()))
    for secret in left:
        yield Interaction(Request("GET", f"/{quote(secret, safe='')}", (), None), None)
