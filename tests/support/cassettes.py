"""Cassettes of one call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.capture.writers import cassette_text
from support.bodies import BODY, order


def no_live() -> Any:
    raise AssertionError("a replay asks for no leave to write")


def created(
    order_id: int = 447452, *, host: str = "https://api.example.com", body: Any = BODY, **headers: str
) -> Interaction:
    request = Request(
        "POST",
        f"{host}/orders/{order_id}/allocations",
        (("Content-Type", "application/json"),),
        json.dumps(body).encode(),
    )
    received = {"Content-Type": "application/json", "Location": f"/orders/{order_id}", **headers}
    return Interaction(request, Response(201, tuple(received.items()), json.dumps(order() | {"id": order_id}).encode()))


def write(folder: Path, name: str, *interactions: Interaction) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(cassette_text(interactions, {}), encoding="utf-8")
    return path
