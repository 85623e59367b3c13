"""What only a server can see: how one request follows upon another, and that one went to another host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pytest_veeqo_alloc.contract.breach import Breach
from pytest_veeqo_alloc.contract.operation import Operation, path_of
from pytest_veeqo_alloc.contract.reading import read
from pytest_veeqo_alloc.contract.transport import credential_places, is_json_type
from pytest_veeqo_alloc.core.http import Interaction, Request, Response

Ending = Literal["answered", "unanswered", "pending", "elsewhere"]
"""What became of a request: it was answered; the client left, or the connection broke, before the answer was complete;
it is not known yet; or it came to a host that is not the API."""

SEQUENCE_RULES = ("repeated-post", "key-sent-elsewhere")
"""The rules about requests as they follow upon each other."""

Seen = tuple[Interaction, Ending]


def sequence_breaches(seen: Iterable[Seen], operation: Operation, keys: Iterable[str] = ()) -> Iterator[Breach]:
    """A POST that is sent again though nobody knows what became of the first, and a key that went to another host.

    *seen* is in the order in which the requests came, and *keys* are those that the API takes. A read of the order, or
    a call that deletes, in between says that the client has looked, and a POST after a 429 is safe: that was refused
    before it was carried out.
    """
    unknown: dict[int | None, list[tuple[object, int, str]]] = {}
    known_keys = tuple(keys)
    for number, (interaction, ending) in enumerate(seen, start=1):
        request = interaction.request
        if request is None:
            continue
        if ending == "elsewhere":
            places = credential_places(request, operation, known_keys)
            yield from (Breach("key-sent-elsewhere", None, "the key, at another host", "", place) for place in places)
        elif not operation.means(interaction):
            if _tells(interaction.response):
                for order_id in [one for one in unknown if _names(request, one)]:
                    del unknown[order_id]
        else:
            same, content = unknown.setdefault(operation.order_id(request.url), []), _content(request)
            for entry in [one for one in same if one[0] == content]:
                same.remove(entry)
                got = f"request {entry[1]} again, as request {number}, after {entry[2]}"
                yield Breach("repeated-post", None, got, "", "method")
            if reason := _not_known(interaction.response, ending):
                same.append((content, number, reason))


def _not_known(response: Response | None, ending: Ending) -> str:
    """Why the client cannot know whether its request was carried out; nothing where it can."""
    if ending == "unanswered":
        return "an answer that did not arrive whole"
    if ending == "pending" or response is None:
        return ""
    if response.status >= 500:
        return f"a {response.status}"
    readable = is_json_type(response.header("content-type") or "") and read(response.body).readable
    return "" if readable or not response.is_success else "an answer that cannot be read"


def _tells(response: Response | None) -> bool:
    """Whether an answer says what became of an order: it is there, or it is not."""
    return response is not None and (response.is_success or response.status == 404)


def _names(request: Request, order_id: int | None) -> bool:
    return f"/orders/{order_id}/" in f"{path_of(request.url)}/"


def _content(request: Request) -> object:
    """What makes a body the same: its JSON value, or its bytes where it has none."""
    reading = read(request.body)
    return reading.value if reading.readable else request.body
