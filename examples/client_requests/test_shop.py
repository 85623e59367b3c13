import pytest
from shop import Shop, ShopError

LINES = [{"sellable_id": 1226615, "quantity": 1}]


def test_allocation_is_made(veeqo_alloc_server):
    order = Shop(veeqo_alloc_server.url, veeqo_alloc_server.api_key).allocate(447452, 1784, LINES)
    assert order["allocated_completely"]


def test_truncated_response_is_an_error(veeqo_alloc_server):
    veeqo_alloc_server.inject_fault("reset-within-body")
    with pytest.raises(ShopError, match="read the order"):
        Shop(veeqo_alloc_server.url, veeqo_alloc_server.api_key).allocate(447452, 1784, LINES)
