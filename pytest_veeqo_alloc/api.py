"""`Contract`: the face of the core for Python, and the schemas."""

from __future__ import annotations

import datetime
import functools
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pytest_veeqo_alloc.capture.objects import interaction_of, request_of
from pytest_veeqo_alloc.capture.watch import Watch
from pytest_veeqo_alloc.contract.check import Asked, Settings, Tables, check_bytes, check_interaction, check_value
from pytest_veeqo_alloc.contract.derive import derive
from pytest_veeqo_alloc.contract.deviations import Accepting, Deviation, parse
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.interaction import Interaction
from pytest_veeqo_alloc.contract.operation import operation_of
from pytest_veeqo_alloc.contract.rules import Side
from pytest_veeqo_alloc.contract.settings import severities, unknown
from pytest_veeqo_alloc.contract.table import Shape, compile_schema
from pytest_veeqo_alloc.contract.violation import ContractViolation
from pytest_veeqo_alloc.data import read_text

SIDES = ("request", "response")
PACKS = ("observed",)

OBSERVED_HINT = (
    "every error here is a known deviation of the live API: "
    "--veeqo-alloc-deviations observed (or deviations=['observed']) accepts them"
)


def load_schema(side: Literal["request", "response"], profile: str | None = None) -> dict[str, Any]:
    """The JSON Schema 2020-12 of *side*, a fresh copy.

    Without a profile it is the shipped file: the open reading of the page. With one it is the schema that rejects just
    what the structural rules of that profile make an error. ValueError for an unknown side or profile.
    """
    _known_side(side)
    schema: dict[str, Any] = json.loads(read_text(f"schemas/{side}.json"))
    return schema if profile is None else derive(schema, side, profile)


class Contract:
    """The documented contract, with a profile, single severities replaced, and deviations accepted.

    *rules* maps rule ids to `error`, `warning` or `off`. *deviations* are names of packs (`observed`), paths of TOML
    files, or `Deviation` values. *show_values* quotes scalars of bodies in findings; leave it off wherever somebody
    else can read the output. ValueError, in one sentence, for what does not exist.
    """

    def __init__(
        self,
        profile: str = "documented",
        *,
        rules: Mapping[str, str] | None = None,
        deviations: Iterable[str | os.PathLike[str] | Deviation] | str = (),
        show_values: bool = False,
    ) -> None:
        self.profile = profile
        named = [deviations] if isinstance(deviations, (str, os.PathLike, Deviation)) else deviations
        today = datetime.date.today()
        accepting = Accepting([one for each in named for one in load_deviations(each)], today)
        self._settings = Settings(profile, severities(profile, rules), accepting, today, show_values)

    def __repr__(self) -> str:
        return f"<Contract, profile {self.profile}>"

    def check(
        self, interaction: Interaction, *, expect_status: int | None = None, broken_request: bool = False
    ) -> Findings:
        """Everything wrong with *interaction*. With *broken_request* the caller says that the request is broken on
        purpose: it is not checked, and a success in answer to it is a finding."""
        return self._check(interaction, Asked(expect_status, broken_request))

    def check_request(self, request: Any) -> Findings:
        """Everything wrong with a request (see `pytest_veeqo_alloc.capture.objects.request_of` for what it may be)."""
        return self._check(Interaction(request_of(request)), Asked())

    def check_response(
        self, response: Any, *, expect_status: int | None = None, body: bytes | str | None = None
    ) -> Findings:
        """Everything wrong with a response and, where it carries one, with its request. *body* is what was read, for
        clients whose responses do not keep it. With an *expect_status* of 4xx the request is not checked."""
        return self._check(interaction_of(response, body=body), Asked(expect_status))

    def check_body(self, side: Literal["request", "response"], value: Any) -> Findings:
        """Everything wrong with a body alone: parsed JSON, or bytes to be read first."""
        _known_side(side)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return check_bytes(side, bytes(value), _tables(), self._settings)
        return check_value(side, value, _tables(), self._settings)

    def validate(
        self, interaction: Interaction, *, expect_status: int | None = None, broken_request: bool = False
    ) -> Findings:
        """`check`, but ContractViolation if there is an error."""
        __tracebackhide__ = True
        return self.demand(self.check(interaction, expect_status=expect_status, broken_request=broken_request))

    def validate_request(self, request: Any) -> Findings:
        """`check_request`, but ContractViolation if there is an error."""
        __tracebackhide__ = True
        return self.demand(self.check_request(request))

    def validate_response(
        self, response: Any, *, expect_status: int | None = None, body: bytes | str | None = None
    ) -> Findings:
        """`check_response`, but ContractViolation if there is an error."""
        __tracebackhide__ = True
        return self.demand(self.check_response(response, expect_status=expect_status, body=body))

    def validate_body(self, side: Literal["request", "response"], value: Any) -> Findings:
        """`check_body`, but ContractViolation if there is an error."""
        __tracebackhide__ = True
        return self.demand(self.check_body(side, value))

    def demand(self, findings: Findings) -> Findings:
        """*findings* back, or ContractViolation if there is an error among them."""
        __tracebackhide__ = True
        if not findings.ok:
            raise self.violation(findings)
        return findings

    def violation(self, findings: Findings) -> ContractViolation:
        """The exception for *findings*."""
        return ContractViolation(findings, self.hint(findings))

    def hint(self, findings: Findings) -> str:
        """A sentence where the live API is known for every error of *findings*, else nothing."""
        observed = _observed()
        known = findings.errors and all(observed.find(error) is not None for error in findings.errors)
        return OBSERVED_HINT if known else ""

    def watch(self, session: Any) -> Watch:
        """Watches a requests.Session, httpx.Client or httpx.AsyncClient; see `Watch`. TypeError for anything else."""
        return Watch(session, means=_tables().operation.means, check=self.check, merge=self.merge)

    def check_stored(self, interaction: Interaction, *, expect_status: int | None = None) -> Findings:
        """`check` for what lay in a file, whose headers somebody may have filtered: a missing key is no finding."""
        return self._check(interaction, Asked(expect_status, headers_filtered=True))

    def merge(self, several: Iterable[Findings]) -> Findings:
        """The findings of several checks as one sequence."""
        listed = list(several)
        return Findings(
            (finding for findings in listed for finding in findings),
            accepted=(accepted for findings in listed for accepted in findings.accepted),
            profile=self.profile,
            operation=_tables().operation.name,
        )

    def _check(self, interaction: Interaction, asked: Asked) -> Findings:
        return check_interaction(interaction, _tables(), self._settings, asked)


def load_deviations(named: str | os.PathLike[str] | Deviation) -> tuple[Deviation, ...]:
    """The deviations of a pack or a TOML file; ValueError, in one sentence with the file's name, where there is none."""
    if isinstance(named, Deviation):
        return (named,)
    if named in PACKS:
        return parse(read_text(f"schemas/deviations/{named}.toml"))
    path = Path(named)
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.suffix:
            raise ValueError(f"there is no file of deviations {str(path)!a}") from None
        raise ValueError(unknown("deviation pack or file", str(path), PACKS)) from None
    except OSError as error:
        raise ValueError(f"the deviations {str(path)!a} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{str(path)!a}: {error}") from None


def parse_overrides(settings: Iterable[str]) -> dict[str, str]:
    """Severities by rule from texts such as `null-value=warning`; ValueError for a text of another form."""
    overrides = {}
    for setting in settings:
        rule, equals, severity = setting.partition("=")
        if not equals:
            raise ValueError(f"a rule is set as ID=SEVERITY, such as null-value=warning, not {setting!a}")
        overrides[rule.strip()] = severity.strip()
    return overrides


def operation_means(interaction: Interaction) -> bool:
    """Whether *interaction* is a call of the documented operation, by method and path."""
    return _tables().operation.means(interaction)


def side_of(value: Any) -> Side | None:
    """Whose body *value* looks like, by its documented members; None where it looks like neither."""
    if not isinstance(value, dict):
        return None
    tables = _tables()
    allocation = tables.request.fields["allocation"].shape
    if value.keys() & {*tables.request.fields, *(allocation.fields if allocation else ())}:
        return "request"
    return "response" if value.keys() & (tables.response.fields.keys() - {"status"}) else None


def response_shape() -> Shape:
    """The documented shape of the response, as the core compiled it from the schema."""
    return _tables().response


def request_shape() -> Shape:
    """The documented shape of the request."""
    return _tables().request


def _known_side(side: str) -> None:
    if side not in SIDES:
        raise ValueError(unknown("side", side, SIDES))


@functools.cache
def _tables() -> Tables:
    operation = operation_of(json.loads(read_text("schemas/operation.json")))
    return Tables(
        operation,
        compile_schema(load_schema("request"), root="request"),
        compile_schema(load_schema("response"), root="order"),
    )


@functools.cache
def _observed() -> Accepting:
    # The pack has no expiry, so any day will do.
    return Accepting(load_deviations("observed"), datetime.date.min)
