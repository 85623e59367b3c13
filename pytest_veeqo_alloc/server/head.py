"""The head of a request: its line and its header fields (RFC 9112 sections 3 and 5), read strictly and within bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BufferedIOBase

from pytest_veeqo_alloc.core.http import TOKEN, Headed, Headers

_MAX_LINE = 65536
_MAX_FIELDS = 100
_LINE = re.compile(rf"({TOKEN}) ([^\s]+) HTTP/([0-9])\.([0-9])\r?\n")
_FIELD = re.compile(rf"({TOKEN}):[ \t]*(.*?)[ \t]*\r?\n")


class RefusedRequestError(Exception):
    """A request that is not taken in: a status and a sentence. The connection ends after it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True, slots=True)
class Head(Headed):
    """Method, target, minor version of HTTP/1, and header pairs in the order in which they came."""

    method: str
    target: str
    minor: int
    headers: Headers

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may follow (RFC 9112 section 9.3)."""
        return self.minor > 0 and not any("close" in value.lower() for value in self.header_values("connection"))


def read_head(stream: BufferedIOBase) -> Head | None:
    """The head of the next request; None where the client has left. RefusedRequestError for what is none."""
    line = stream.readline(_MAX_LINE + 1)
    if line in (b"\r\n", b"\n"):  # some clients end a body with one too many
        line = stream.readline(_MAX_LINE + 1)
    if not line:
        return None
    if len(line) > _MAX_LINE:
        raise RefusedRequestError(414, "a request line has at most 65536 bytes here")
    match = _LINE.fullmatch(line.decode("latin-1"))
    if match is None:
        raise RefusedRequestError(400, "what came is no request of HTTP/1.1")
    method, target, major, minor = match.groups()
    if major != "1":
        raise RefusedRequestError(505, "only HTTP/1.1 is spoken here")
    return Head(method, target, int(minor), tuple(_fields(stream)))


def _fields(stream: BufferedIOBase) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    while (line := stream.readline(_MAX_LINE + 1)) not in (b"\r\n", b"\n"):
        if len(line) > _MAX_LINE or len(fields) >= _MAX_FIELDS:
            raise RefusedRequestError(431, "a request has at most 100 headers here, of 65536 bytes each")
        match = _FIELD.fullmatch(line.decode("latin-1"))
        if match is None:
            raise RefusedRequestError(400, "a header is a name, a colon and a value in one line")
        fields.append((match[1], match[2]))
    return fields
