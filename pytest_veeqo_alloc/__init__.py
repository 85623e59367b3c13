"""Holds clients and servers against the documented `POST /orders/{order_id}/allocations` of the Veeqo API."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_veeqo_alloc.api import Contract
    from pytest_veeqo_alloc.contract.deviations import Deviation
    from pytest_veeqo_alloc.contract.failure import ContractViolation
    from pytest_veeqo_alloc.contract.findings import Finding, Findings
    from pytest_veeqo_alloc.core.http import Interaction, Request, Response
    from pytest_veeqo_alloc.orders.builder import build_order
    from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock, Story
    from pytest_veeqo_alloc.redaction.redactor import redact
    from pytest_veeqo_alloc.server.runner import ServerSettings, serve_fake
    from pytest_veeqo_alloc.server.state import Policy, World
    from pytest_veeqo_alloc.spec.loader import load_schema

__all__ = [
    "Allocation",
    "Contract",
    "ContractViolation",
    "Deviation",
    "Finding",
    "Findings",
    "Interaction",
    "Line",
    "Policy",
    "Request",
    "Response",
    "ServerSettings",
    "Stock",
    "Story",
    "World",
    "build_order",
    "load_schema",
    "redact",
    "serve_fake",
]

# pytest imports this module in every run of everybody who has it installed, so it loads nothing until it is asked.
_HOMES = {
    "Allocation": "orders.story",
    "Contract": "api",
    "ContractViolation": "contract.failure",
    "Deviation": "contract.deviations",
    "Finding": "contract.findings",
    "Findings": "contract.findings",
    "Interaction": "core.http",
    "Line": "orders.story",
    "Policy": "server.state",
    "Request": "core.http",
    "Response": "core.http",
    "ServerSettings": "server.runner",
    "Stock": "orders.story",
    "Story": "orders.story",
    "World": "server.state",
    "build_order": "orders.builder",
    "load_schema": "spec.loader",
    "redact": "redaction.redactor",
    "serve_fake": "server.runner",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
