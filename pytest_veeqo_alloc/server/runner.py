"""Who owns the sockets and threads of a fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pytest_veeqo_alloc.engine import Engine, HasEngine, engine_of
from pytest_veeqo_alloc.server.fake import API_KEY, Fake
from pytest_veeqo_alloc.server.http_server import App, HTTPServer
from pytest_veeqo_alloc.server.request_log import BaseServer
from pytest_veeqo_alloc.server.state import Policy


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where a fake listens, which key it takes, and what it does where the page is silent. Port 0 is one that is free."""

    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = API_KEY
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 0 <= self.port < 2**16:
            raise ValueError(f"port= is a number from 0 to 65535, not {self.port!a}")


@contextmanager
def running(
    served: BaseServer,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    names: tuple[str, ...] = (),
    patience: float = 30,
    take_in: App | None = None,
) -> Iterator[HTTPServer]:
    """*served* listens until the block is left; *take_in* replaces its own way in. OSError where the port is taken."""
    with ExitStack() as stack:
        if isinstance(served, Fake):
            served.open_elsewhere = _elsewhere(served, stack, patience)
        way_in = take_in or served.take_in
        front = HTTPServer((host, port), way_in, complain=served.complain, names=names, patience=patience)
        served.url = front.url
        _started(front, stack)
        stack.callback(served.settle)
        yield front


def _elsewhere(fake: Fake, stack: ExitStack, patience: float) -> Callable[[], str]:
    """The URL of the other host, which no key may be sent to. It listens from when a test first asks for it."""
    others: list[HTTPServer] = []

    def open_elsewhere() -> str:
        if not others:
            other = HTTPServer(("127.0.0.1", 0), fake.take_in_elsewhere, complain=fake.complain, patience=patience)
            others.append(_started(other, stack))
        # Another name as well as another port: some clients look at the one, some at the other.
        return f"http://localhost:{others[0].port}"

    return open_elsewhere


def _started(front: HTTPServer, stack: ExitStack) -> HTTPServer:
    stack.callback(front.close)
    front.start()
    return front


@contextmanager
def serve_fake(
    profile: str = "documented",
    *,
    contract: HasEngine | None = None,
    policy: Policy | None = None,
    api_key: str = API_KEY,
) -> Iterator[Fake]:
    """A fake on the loopback, for `@given`, unittest and scripts; pytest has the fixture `veeqo_alloc_server`.

    ContractViolation at the end, if a client sent something with an error in it that was not expected; AssertionError
    where something was expected and did not come. `reset()` begins anew, and forgets what was wrong.
    """
    __tracebackhide__ = True
    fake = Fake(engine_of(contract) if contract is not None else Engine(profile), policy, api_key)
    with running(fake):
        yield fake
        raise_for_errors(fake)


def raise_for_errors(fake: Fake) -> None:
    """ContractViolation or AssertionError, if anything was not as it should be."""
    __tracebackhide__ = True
    problems = fake.problems
    findings = fake.unexpected
    if not findings.ok:
        raise fake.engine.violation(findings)
    if problems:
        raise AssertionError("\n".join(problems))
