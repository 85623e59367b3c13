"""Hypothesis strategies for valid, invalid and malformed payloads."""

from pytest_veeqo_alloc.strategies.invalid_bodies import (
    Broken,
    invalid_allocation_requests,
    invalid_allocation_responses,
    malformed_bodies,
)
from pytest_veeqo_alloc.strategies.requests import allocation_requests, order_ids
from pytest_veeqo_alloc.strategies.responses import allocation_interactions, allocation_responses

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
