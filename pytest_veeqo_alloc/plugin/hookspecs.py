"""The hook that supplies the client under test."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookspec(firstresult=True)
def pytest_veeqo_alloc_client(request: pytest.FixtureRequest) -> Any:
    """Return `make_client`, the factory of the client that the conformance suite tests.

    `make_client(base_url, api_key)` returns a function `allocate(order_id, warehouse_id, line_items)`, plain or async.
    *line_items* is a list of dictionaries with `sellable_id` and `quantity`. `allocate` raises an exception if the
    allocation fails. Implement the hook in any conftest.py.
    """
