"""The reference client: what a client has to do, in as few lines as it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

TIMEOUT = 0.5


def make_client(base_url: str, api_key: str) -> Callable[[int, int, list[dict[str, Any]]], Any]:
    """A client of the server at *base_url*."""

    def allocate(order_id: int, warehouse_id: int, line_items: list[dict[str, Any]]) -> Any:
        answer = requests.post(
            f"{base_url}/orders/{order_id}/allocations",
            json={"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}},
            headers={"x-api-key": api_key},
            allow_redirects=False,  # they would take the key to another host
            timeout=TIMEOUT,
        )
        if answer.status_code != 201:
            raise RuntimeError(f"no allocation was made: {answer.status_code}")
        return answer.json()

    return allocate
