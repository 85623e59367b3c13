"""The conformance suite beside what the user's environment may have: a proxy, frozen time, IPv6, Windows."""

from __future__ import annotations

import pytest

from battery.test_suite import KEY, at, copy_example, run
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.server.state import Policy

FROZEN = """
import freezegun
import pytest

@pytest.fixture(autouse=True)
def frozen():
    with freezegun.freeze_time("2030-01-01"):
        yield
"""
PAIR_OVER_LOOPBACK = """
import socket

def pair(*_):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]

socket.socketpair = getattr(socket, "_fallback_socketpair", pair)
"""


def passes(pytester: pytest.Pytester, *options: str) -> None:
    outcomes = run(pytester, *options).parseoutcomes()
    assert outcomes.keys() <= {"passed", "deselected"}
    assert outcomes["passed"] >= 50


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_suite_passes_beside_a_proxy(name: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    passes(pytester)


def test_suite_passes_under_frozen_time(pytester: pytest.Pytester) -> None:
    pytest.importorskip("freezegun")
    pytester.makeconftest(FROZEN)
    passes(pytester)


def test_suite_passes_against_an_ipv6_address(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    try:
        with running(Fake(Engine("strict"), Policy(refuses="strict"), KEY), host="::1") as server:
            passes(pytester, *at(server.url, "--veeqo-alloc-rate=1000", "--veeqo-alloc-profile=strict"))
    except OSError:
        pytest.skip("there is no IPv6 address on this machine")


def test_suite_passes_where_a_pair_of_sockets_is_connected_over_the_loopback(pytester: pytest.Pytester) -> None:
    copy_example(pytester, "client_httpx")
    conftest = pytester.path / "conftest.py"
    given = conftest.read_text(encoding="utf-8") if conftest.exists() else ""
    conftest.write_text(f"{given}\n{PAIR_OVER_LOOPBACK}", encoding="utf-8")
    passes(pytester)
