"""The hook that a user implements."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookspec(firstresult=True)
def pytest_veeqo_alloc_client(request: pytest.FixtureRequest) -> Any:
    """The client to be judged: return `make_client`. `make_client(base_url, api_key)` returns `allocate(order_id,
    warehouse_id, line_items)`, plain or async, *line_items* being dictionaries of `sellable_id` and `quantity`; any
    exception that it raises is a failure. Implement it in any conftest.py."""
