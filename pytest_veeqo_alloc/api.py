"""The class `Contract`, the public API for checking requests, responses and interactions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_veeqo_alloc.capture.client_objects import Watch, interaction_of, request_of
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.deviations import Deviation
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.rules import BodySide
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.engine import Engine


class Contract:
    """The documented contract. *profile* is `lenient`, `documented` or `strict`.

    *rules* maps rule ids to `error`, `warning` or `off`. *deviations* contains accepted deviations: names of bundled
    packs (`observed`), paths of TOML files, or `Deviation` objects. With *show_values*, findings quote scalar values
    from bodies: leave it off if others can read the output. Raise ValueError for an unknown name.
    """

    def __init__(
        self,
        profile: str = "documented",
        *,
        rules: Mapping[str, str] | None = None,
        deviations: Iterable[str | os.PathLike[str] | Deviation] | str = (),
        show_values: bool = False,
    ) -> None:
        self._engine = Engine(profile, rules=rules, deviations=deviations, show_values=show_values)

    def __repr__(self) -> str:
        return f"<Contract, profile {self._engine.profile}>"

    def check(
        self, interaction: Interaction, *, expect_status: int | None = None, broken_request: bool = False
    ) -> Findings:
        """Return the findings in *interaction*. *expect_status* replaces the documented status.

        With *broken_request*, the request is broken on purpose: it is not checked, and a 2xx response is a finding.
        """
        if not isinstance(interaction, Interaction):
            kind = type(interaction).__name__
            raise TypeError(f"check takes an Interaction, not {kind}; for a client's response, call check_response")
        return self._engine.check(interaction, _context(expect_status, broken_request))

    def check_request(self, request: Any) -> Findings:
        """Return the findings in *request*: a `Request`, or a request object from requests, httpx or a test client."""
        return self._engine.check(Interaction(request_of(request)))

    def check_response(
        self, response: Any, *, expect_status: int | None = None, body: bytes | str | None = None
    ) -> Findings:
        """Return the findings in *response* and, if the response object has a request, in the request.

        *body* is the response body, for clients that do not keep it in the response object. *expect_status* replaces
        the documented status. If it is a 4xx status, the request is broken on purpose and is not checked.
        """
        return self._engine.check(interaction_of(response, body=body), _context(expect_status))

    def check_body(self, side: BodySide, value: Any) -> Findings:
        """Return the findings in *value*, a body as parsed JSON or raw bytes. *side* is `request` or `response`."""
        return self._engine.check_body(side, value)

    def validate(
        self, interaction: Interaction, *, expect_status: int | None = None, broken_request: bool = False
    ) -> Findings:
        """Return the findings of `check` for *interaction*. Raise ContractViolation if one of them is an error."""
        __tracebackhide__ = True
        found = self.check(interaction, expect_status=expect_status, broken_request=broken_request)
        return self._engine.raise_for_errors(found)

    def validate_request(self, request: Any) -> Findings:
        """Return the findings of `check_request` for *request*. Raise ContractViolation if one of them is an error."""
        __tracebackhide__ = True
        return self._engine.raise_for_errors(self.check_request(request))

    def validate_response(
        self, response: Any, *, expect_status: int | None = None, body: bytes | str | None = None
    ) -> Findings:
        """Return the findings of `check_response` for *response*. Raise ContractViolation if one is an error."""
        __tracebackhide__ = True
        return self._engine.raise_for_errors(self.check_response(response, expect_status=expect_status, body=body))

    def validate_body(self, side: BodySide, value: Any) -> Findings:
        """Return the findings of `check_body` for *value*. Raise ContractViolation if one of them is an error."""
        __tracebackhide__ = True
        return self._engine.raise_for_errors(self.check_body(side, value))

    def watch(self, session: Any) -> Watch:
        """Check every allocation that *session* sends from now on.

        *session* is a requests.Session, httpx.Client or httpx.AsyncClient. Raise TypeError for any other object.
        """
        return self._engine.watch(session)


def _context(expect_status: int | None, broken_request: bool = False) -> CheckContext:
    if expect_status is not None and not isinstance(expect_status, int):
        raise TypeError(f"expect_status must be a number such as 404, not {type(expect_status).__name__}")
    return CheckContext(expect_status, broken_request)
