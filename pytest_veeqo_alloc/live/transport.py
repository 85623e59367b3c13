"""The HTTP of this package's own requests: no proxy, no .netrc, no redirect, no time without end."""

from __future__ import annotations

import datetime
import email.utils
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
import urllib3

from pytest_veeqo_alloc.core.http import Headers, Request, Response
from pytest_veeqo_alloc.live import SendError
from pytest_veeqo_alloc.live.permission import WritePermission
from pytest_veeqo_alloc.spec.loader import tables

if TYPE_CHECKING:
    from pytest_veeqo_alloc.live.client import Admission


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a 429 is waited out, in seconds: at first where the server does not say, at most at a time, and at most
    in all. Each wait of our own choice is twice the one before."""

    first: float = 1.0
    longest: float = 30.0
    in_all: float = 120.0
    sleep: Callable[[float], None] = time.sleep


class Sender:
    """Sends to the server of *permit*; *timeouts* are seconds to connect and to wait for bytes."""

    def __init__(self, permit: WritePermission, timeouts: tuple[float, float], waits: Waits) -> None:
        self._permit, self._timeouts, self._waits = permit, timeouts, waits
        self._session = requests.Session()
        # Proxies, .netrc and CA bundles of the environment: somebody else's, unless the user asked for them.
        self._session.trust_env = permit.trust_env

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        *,
        admit: Callable[[], Admission],
        key: str | None = None,
    ) -> tuple[Request, Response]:
        """Sends, once *admit* lets it, and returns what was sent and the answer; a 429 is waited out, each sending being
        admitted anew. *key* takes the place of that of the run, and an empty one is not sent. SendError where no answer
        came."""
        sent = self._permit.api_key if key is None else key
        credentials = ((tables().operation.key_header, sent),) if sent else ()
        request = Request(method, f"{self._permit.base_url}{path}", (*credentials, *headers), body)
        waited, next_wait = 0.0, self._waits.first
        while True:
            answer = self._once(request, admit())
            wait = min(_retry_after(answer, next_wait), self._waits.longest)
            if answer.status != 429 or waited + wait > self._waits.in_all:
                return request, answer
            self._waits.sleep(wait)
            waited, next_wait = waited + wait, next_wait * 2

    def _once(self, request: Request, ticket: Admission) -> Response:
        try:
            answer = self._session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=request.body,
                allow_redirects=False,
                timeout=self._timeouts,
            )
        except requests.RequestException as error:
            trouble, was_sent = trouble_of(error)
        else:
            response = Response(answer.status_code, tuple(answer.headers.items()), answer.content)
            ticket.finished(response)
            return response
        if was_sent:
            ticket.finished(None)
        else:
            ticket.not_sent()
        end = (
            ""
            if request.method == "GET" or not was_sent
            else "; whether it was carried out is UNKNOWN, and it is not sent again"
        )
        # Not `from` the error of the client: its request has the key in its headers.
        raise SendError(f"{request.method} to {self._permit.target} got no answer: {trouble}{end}") from None


def trouble_of(error: Exception) -> tuple[str, bool]:
    """What went wrong, in words of ours, and whether the request may have been sent."""
    # By name, since the classes are those of whatever urllib3 came with requests.
    causes = {kind.__name__ for cause in _causes(error) for kind in type(cause).__mro__}
    if "SSLCertVerificationError" in causes:
        return "its certificate is not trusted", False
    if causes & {"NameResolutionError", "gaierror"}:
        return "its name is not known", False
    if isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in causes:
        return "it takes no connection", False
    if isinstance(error, requests.Timeout):
        return "it did not answer in time", True
    if isinstance(error, requests.exceptions.SSLError):
        return "the encrypted connection broke", True
    return "the connection broke, or what came was no HTTP", True


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    left: list[object] = [error]
    while left:
        cause = left.pop()
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            left += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
    return found


def _retry_after(answer: Response, otherwise: float) -> float:
    """Seconds that the server asks to wait (RFC 9110 section 10.2.3), or *otherwise*."""
    said = (answer.header("retry-after") or "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        until = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return otherwise
    if until.tzinfo is None:
        return otherwise
    return max((until - datetime.datetime.now(datetime.UTC)).total_seconds(), 0)


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

    permit: WritePermission
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
