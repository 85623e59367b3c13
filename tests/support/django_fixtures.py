"""A pytest plugin with the fixtures `db` and `live_server`, made of Django's own test tools, as pytest-django has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("DJANGO_SETTINGS_MODULE", "")


@pytest.fixture(scope="session")
def _database(pytestconfig: pytest.Config) -> Iterator[None]:
    os.environ["DJANGO_SETTINGS_MODULE"] = pytestconfig.getini("DJANGO_SETTINGS_MODULE")
    import django
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases, teardown_test_environment

    django.setup()
    setup_test_environment()
    databases = setup_databases(verbosity=0, interactive=False)
    yield
    teardown_databases(databases, verbosity=0)
    teardown_test_environment()


@pytest.fixture
def db(_database: None) -> Iterator[None]:
    from django.test import TestCase

    case: Any = type("Case", (TestCase,), {"databases": {"default"}})  # what pytest-django has as well
    atomics = case._enter_atomics()
    yield
    case._rollback_atomics(atomics)


@pytest.fixture
def transactional_db(_database: None) -> None:
    """Leave what a test writes, since no other test looks for it."""


@pytest.fixture(scope="session")
def live_server(_database: None) -> Iterator[SimpleNamespace]:
    from django.db import connections
    from django.test.testcases import LiveServerThread, _StaticFilesHandler

    shared = {name: connections[name] for name in connections if connections[name].vendor == "sqlite"}
    for connection in shared.values():
        connection.inc_thread_sharing()
    thread = LiveServerThread("127.0.0.1", _StaticFilesHandler, connections_override=shared)
    thread.daemon = True
    thread.start()
    thread.is_ready.wait()
    yield SimpleNamespace(url=f"http://127.0.0.1:{thread.port}")
    thread.terminate()
    for connection in shared.values():
        connection.dec_thread_sharing()
