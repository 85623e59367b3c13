"""Check clients and servers against the documented `POST /orders/{order_id}/allocations` of the Veeqo API."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_veeqo_alloc.api import Contract
    from pytest_veeqo_alloc.capture.client_objects import Watch
    from pytest_veeqo_alloc.contract.deviations import Deviation
    from pytest_veeqo_alloc.contract.failure import ContractViolation
    from pytest_veeqo_alloc.contract.findings import Finding, Findings
    from pytest_veeqo_alloc.contract.rules import BodySide, Profile, RuleId, Severity
    from pytest_veeqo_alloc.core.http import Interaction, Request, Response
    from pytest_veeqo_alloc.live.permission import OrderPool
    from pytest_veeqo_alloc.orders.builder import build_order
    from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock, Story
    from pytest_veeqo_alloc.plugin.fixtures import Schemas, Target
    from pytest_veeqo_alloc.recording.session import Cassettes
    from pytest_veeqo_alloc.redaction.redactor import redact
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.responses import FaultName
    from pytest_veeqo_alloc.server.runner import ServerSettings, serve_fake
    from pytest_veeqo_alloc.server.state import Policy, World
    from pytest_veeqo_alloc.spec.loader import load_schema

__all__ = [
    "Allocation",
    "BodySide",
    "Cassettes",
    "Contract",
    "ContractViolation",
    "Deviation",
    "Fake",
    "FaultName",
    "Finding",
    "Findings",
    "Interaction",
    "Line",
    "OrderPool",
    "Policy",
    "Profile",
    "Request",
    "Response",
    "RuleId",
    "Schemas",
    "ServerSettings",
    "Severity",
    "Stock",
    "Story",
    "Target",
    "Watch",
    "World",
    "build_order",
    "load_schema",
    "redact",
    "serve_fake",
]

# pytest imports this package in every run, so each public name is imported when it is first used.
_MODULES = {
    "api": ["Contract"],
    "capture.client_objects": ["Watch"],
    "contract.deviations": ["Deviation"],
    "contract.failure": ["ContractViolation"],
    "contract.findings": ["Finding", "Findings"],
    "contract.rules": ["BodySide", "Profile", "RuleId", "Severity"],
    "core.http": ["Interaction", "Request", "Response"],
    "live.permission": ["OrderPool"],
    "orders.builder": ["build_order"],
    "orders.story": ["Allocation", "Line", "Stock", "Story"],
    "plugin.fixtures": ["Schemas", "Target"],
    "recording.session": ["Cassettes"],
    "redaction.redactor": ["redact"],
    "server.fake": ["Fake"],
    "server.responses": ["FaultName"],
    "server.runner": ["ServerSettings", "serve_fake"],
    "server.state": ["Policy", "World"],
    "spec.loader": ["load_schema"],
}


if not TYPE_CHECKING:  # otherwise a type checker would accept any name

    def __getattr__(name: str) -> Any:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(importlib.import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
