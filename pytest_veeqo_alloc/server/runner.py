"""Functions that run a fake or a proxy on a socket, and the settings of a fake."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pytest_veeqo_alloc.contract.rules import Profile
from pytest_veeqo_alloc.engine import Engine, HasEngine, engine_of
from pytest_veeqo_alloc.server.fake import API_KEY, Fake
from pytest_veeqo_alloc.server.http_server import App, HTTPServer
from pytest_veeqo_alloc.server.request_log import BaseServer
from pytest_veeqo_alloc.server.state import Policy


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The address, API key and policy of a fake. Port 0 selects a free port. Raise ValueError for an invalid port.

    `names` are further host names that requests may use for the fake, such as the name of its container.
    """

    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = field(default=API_KEY, repr=False)
    policy: Policy = field(default_factory=Policy)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 0 <= self.port < 2**16:
            raise ValueError(f"port= must be a number from 0 to 65535, not {self.port!a}")
        if isinstance(self.names, str) or not all(isinstance(name, str) for name in self.names):
            raise ValueError(f"names= must be several host names, such as ('shop',), not {self.names!a:.60}")


@contextmanager
def running(
    server: BaseServer, *, host: str = "127.0.0.1", port: int = 0, names: tuple[str, ...] = (), app: App | None = None
) -> Iterator[HTTPServer]:
    """Serve *server*, or *app* (a wrapper of it), and yield the HTTP server. Raise OSError if the port is in use."""
    with ExitStack() as stack:
        if isinstance(server, Fake):

            @functools.cache
            def open_elsewhere() -> str:
                """Start a second host, to which no client may send its API key. Return the URL."""
                other = stack.enter_context(
                    HTTPServer(("127.0.0.1", 0), server.handle_elsewhere, server.add_problem, (), server.refuse)
                )
                # Both the host name and the port are different, since a client may compare only one of them.
                return f"http://localhost:{other.port}"

            server.open_elsewhere = open_elsewhere
        http_server = HTTPServer((host, port), app or server.handle, server.add_problem, names, server.refuse)
        server.url = http_server.url
        stack.enter_context(http_server)
        stack.callback(server.settle)
        owner = os.getpid()
        try:
            yield http_server
        finally:
            if os.getpid() != owner:  # a fork has none of the threads, so nothing would end them
                stack.pop_all()


@contextmanager
def serve_fake(
    profile: Profile = "documented",
    *,
    contract: HasEngine | None = None,
    policy: Policy | None = None,
    api_key: str = API_KEY,
) -> Iterator[Fake]:
    """Run a fake on the loopback interface, for `@given`, unittest and scripts. Otherwise, use `veeqo_alloc_server`.

    At the end of the block, raise ContractViolation for unexpected findings of severity `error`, or AssertionError for
    a missing expected finding or an unused fault. `Fake.reset()` discards findings, expectations and faults.
    """
    __tracebackhide__ = True
    fake = Fake(engine_of(contract) if contract is not None else Engine(profile), policy, api_key)
    owner = os.getpid()
    with running(fake):
        yield fake
        if os.getpid() != owner:  # the process that started the fake reports its findings
            return
        findings, problems = fake.unexpected, fake.problems
        fake.engine.raise_for_errors(findings)
        if problems:
            raise AssertionError("\n".join(problems))
