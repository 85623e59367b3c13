"""The hooks that supply the client and the server under test, and that create orders in the server."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookspec(firstresult=True)
def pytest_veeqo_alloc_client(request: pytest.FixtureRequest) -> Any:
    """Return `make_client`, the factory of the client that the conformance suite tests.

    `make_client(base_url, api_key)` returns a function `allocate(order_id, warehouse_id, line_items)`, plain or async.
    *line_items* is a list of dictionaries with `sellable_id` and `quantity`. `allocate` must raise an exception if the
    allocation fails. Implement the hook in any conftest.py.
    """


@pytest.hookspec(firstresult=True)
def pytest_veeqo_alloc_server(request: pytest.FixtureRequest) -> Any:
    """Return the server that the conformance suite tests: a base URL, or a WSGI or ASGI application.

    The hook is called for each server test, so `request.getfixturevalue(...)` returns the fixtures of that test. A URL
    must be on the loopback interface. An application is called in this process, which needs httpx; a WSGI application
    runs in the test's thread. The API key is the environment variable VEEQO_ALLOC_API_KEY, otherwise
    `fake-key-for-tests`. The option `--veeqo-alloc-base-url` takes precedence. Implement the hook in any conftest.py.
    """


@pytest.hookspec
def pytest_veeqo_alloc_arrange(order: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    """Create *order* in the server under test, before the conformance suite allocates to it. The hook may be async.

    *order* has an `id`, a `warehouse_id` and `lines`. Each line has a `sellable_id`, the ordered `quantity`, and
    `available`: the units in stock in the warehouse. The option `--veeqo-alloc-arrange-url` takes precedence. Implement
    the hook in any conftest.py.
    """
