"""The documented operation: which requests it means, told from `schemas/operation.json`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from pytest_veeqo_alloc.core.http import Interaction

_LONGEST_ID = 30


@dataclass(frozen=True, slots=True)
class Operation:
    """Method, path template, the header that carries the key, the status and the header of the answer."""

    method: str
    path: str
    key_header: str
    status: int
    location_header: str
    pattern: re.Pattern[str]

    @property
    def name(self) -> str:
        """`METHOD /path/{parameter}`, as the page writes it."""
        return f"{self.method} {self.path}"

    def path_for(self, order_id: object) -> str:
        """The path of a call with *order_id*, whatever that is, in the place of the order's."""
        return re.sub(r"\{\w+\}", lambda match: str(order_id), self.path)

    def order_segment(self, url: str) -> str | None:
        """What stands for the order id in the path of *url*, decoded; None where the path is another."""
        match = self.pattern.search(path_of(url))
        return unquote(match[1]) if match else None

    def order_id(self, url: str) -> int | None:
        """The order id in the path of *url*; None where there is none."""
        segment = self.order_segment(url)
        return int(segment) if segment and len(segment) < _LONGEST_ID and is_integer(segment) else None

    def means(self, interaction: Interaction) -> bool:
        """Whether *interaction* is a call of this operation: by method and path, whatever stands for the order id."""
        request = interaction.request
        return (
            request is not None
            and request.method.upper() == self.method
            and self.order_segment(request.url) is not None
        )


def operation_of(description: Mapping[str, Any]) -> Operation:
    """The operation that *description* (an OpenAPI operation with `method` and `path`) tells of."""
    path = description["path"]
    parameters = {parameter["in"]: parameter["name"] for parameter in description["parameters"]}
    (status, response), *_ = description["responses"].items()
    before, after = path.split("{" + parameters["path"] + "}")
    return Operation(
        method=description["method"],
        path=path,
        key_header=parameters["header"],
        status=int(status),
        location_header=next(iter(response["headers"])),
        pattern=re.compile(f"{re.escape(before)}([^/]+){re.escape(after)}\\Z"),
    )


def path_of(url: str) -> str:
    """The path of *url*, also where the rest of it is no URL."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def is_integer(text: str) -> bool:
    """Whether *text* is an integer as JSON writes one."""
    return re.fullmatch(r"-?[0-9]+", text) is not None
