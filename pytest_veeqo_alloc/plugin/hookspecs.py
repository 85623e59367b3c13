"""The hook that a user implements."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookspec(firstresult=True)
def pytest_veeqo_alloc_client(request: pytest.FixtureRequest) -> Any:
    """Return `make_client`, the factory of the client that the conformance suite tests.

    `make_client(base_url, api_key)` returns `allocate(order_id, warehouse_id, line_items)`, plain or async; *line_items*
    are dictionaries of `sellable_id` and `quantity`. An exception means that the allocation failed. Implement the hook
    in any conftest.py.
    """
