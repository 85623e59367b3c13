"""Passing on what somebody else's client sends: once, to the one server that is allowed, with nothing added but `Via`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import requests
import urllib3

from pytest_veeqo_alloc.core.http import Headers, Request, Response
from pytest_veeqo_alloc.live.errors import SendError
from pytest_veeqo_alloc.live.guard import Permit
from pytest_veeqo_alloc.live.sender import trouble_of

_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
_OURS = frozenset({"host", "content-length", "expect", "accept-encoding"})


class NotSentError(SendError):
    """No connection was made, so nothing was sent."""


@dataclass(frozen=True, slots=True)
class Forwarder:
    """Sends to the server of *permit*. *via* is how this proxy calls itself (RFC 9110 section 7.6.3); *timeouts* are
    seconds to connect and to wait for bytes."""

    permit: Permit
    via: str
    timeouts: tuple[float, float] = (5, 30)

    def target_of(self, path_and_query: str) -> str:
        """The URL that a path of the proxy stands for."""
        return f"{self.permit.base_url}{path_and_query}"

    def send(self, request: Request) -> Response:
        """The answer as it came, its body still coded. Redirects are not followed, nothing is waited out or repeated.
        SendError, in one sentence, where no answer came; NotSentError where it is known that nothing was sent."""
        with requests.Session() as session:
            session.trust_env = self.permit.trust_env
            session.headers.clear()
            headers: dict[str, str | bytes] = {**self._passed_on(request)}
            try:
                answer = session.request(
                    request.method,
                    request.url,
                    headers=headers,
                    data=request.body,
                    auth=_no_auth,
                    allow_redirects=False,
                    timeout=self.timeouts,
                    stream=True,
                )
                body = answer.raw.read(decode_content=False)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                trouble, was_sent = trouble_of(error)
            else:
                pairs = tuple((str(name), str(value)) for name, value in answer.raw.headers.items())
                return Response(answer.status_code, without_hops(pairs), body)
        kind = SendError if was_sent else NotSentError
        # Not `from` the error of the client: its request has the key in its headers.
        raise kind(f"the upstream {self.permit.target} gave no answer: {trouble}") from None

    def _passed_on(self, request: Request) -> dict[str, str]:
        """The headers of the client, but for those of its own connection. Codings that are not undone here are not asked
        for."""
        passed: dict[str, str] = {}
        for name, value in without_hops(request.headers):
            if name.lower() not in _OURS:
                known = next((each for each in passed if each.lower() == name.lower()), name)
                passed[known] = f"{passed[known]}, {value}" if known in passed else value
        accepted = ",".join(request.header_values("accept-encoding")).lower()
        via = [value for name, value in passed.items() if name.lower() == "via"]
        passed = {name: value for name, value in passed.items() if name.lower() != "via"}
        if not any(name.lower() == "user-agent" for name in passed):
            passed["User-Agent"] = urllib3.util.SKIP_HEADER  # which urllib3 would add
        return {
            **passed,
            "Accept-Encoding": "gzip" if "gzip" in accepted else "identity",
            "Connection": "close",
            "Via": ", ".join([*via, f"1.1 {self.via}"]),
        }


def without_hops(headers: Iterable[tuple[str, str]]) -> Headers:
    """*headers* without those that are for one connection alone (RFC 9110 section 7.6.1)."""
    pairs = tuple(headers)
    named = {
        token.strip().lower() for name, value in pairs if name.lower() == "connection" for token in value.split(",")
    }
    return tuple(pair for pair in pairs if pair[0].lower() not in _HOP_BY_HOP | named)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """In the place of what .netrc might say: a proxy adds no credentials."""
    return request
