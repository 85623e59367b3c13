"""A shop's async client, in httpx."""

import httpx


def make_client(base_url, api_key):
    """Return the function that the conformance suite calls; it may be async."""

    async def allocate(order_id, warehouse_id, line_items):
        body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}, timeout=1) as client:
            response = await client.post(f"/orders/{order_id}/allocations", json=body)
        if response.status_code != httpx.codes.CREATED:
            raise RuntimeError(f"allocation failed with status {response.status_code}")
        return response.json()

    return allocate
