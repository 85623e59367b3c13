"""The fake under load."""

from __future__ import annotations

from support.load import check_under_load


def test_concurrent_requests_with_every_fault_are_each_recorded_once() -> None:
    check_under_load(connections=32, requests_each=125, fault_rounds=8)
