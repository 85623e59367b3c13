"""Hypothesis strategies: valid payloads, orders and interactions, and broken ones that say what is broken."""

from pytest_veeqo_alloc.strategies.answers import allocation_interactions, allocation_responses
from pytest_veeqo_alloc.strategies.broken import Broken, invalid_allocation_requests, invalid_allocation_responses
from pytest_veeqo_alloc.strategies.malformed import malformed_bodies
from pytest_veeqo_alloc.strategies.payloads import allocation_requests, order_ids

__all__ = [
    "Broken",
    "allocation_interactions",
    "allocation_requests",
    "allocation_responses",
    "invalid_allocation_requests",
    "invalid_allocation_responses",
    "malformed_bodies",
    "order_ids",
]
