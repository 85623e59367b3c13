"""Check clients and servers against the documented `POST /orders/{order_id}/allocations` of the Veeqo API."""

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

# pytest imports this package in every run, so each public name is imported when it is first used.
_MODULES = {
    "api": ["Contract"],
    "contract.deviations": ["Deviation"],
    "contract.failure": ["ContractViolation"],
    "contract.findings": ["Finding", "Findings"],
    "core.http": ["Interaction", "Request", "Response"],
    "orders.builder": ["build_order"],
    "orders.story": ["Allocation", "Line", "Stock", "Story"],
    "redaction.redactor": ["redact"],
    "server.runner": ["ServerSettings", "serve_fake"],
    "server.state": ["Policy", "World"],
    "spec.loader": ["load_schema"],
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
