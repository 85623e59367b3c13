"""`Contract`: the face of the core for Python, and the schemas."""

from __future__ import annotations

import copy
import datetime
import os
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pytest_veeqo_alloc.capture.client_objects import Watch, interaction_of, request_of
from pytest_veeqo_alloc.contract.checker import (
    CheckContext,
    RawResult,
    Settings,
    examine,
    examine_body,
    findings_of,
    to_findings,
    without_keys,
)
from pytest_veeqo_alloc.contract.deviations import Deviation, DeviationIndex
from pytest_veeqo_alloc.contract.failure import ContractViolation
from pytest_veeqo_alloc.contract.findings import Breach, Findings
from pytest_veeqo_alloc.contract.http_rules import Seen, sequence_breaches
from pytest_veeqo_alloc.contract.rules import BodySide, Severity, severities
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.coverage.collector import Coverage, Origin, look_at, only_found
from pytest_veeqo_alloc.coverage.listeners import CheckEvent, Listener
from pytest_veeqo_alloc.redaction.lint import age_breaches, format_breach, secret_breaches
from pytest_veeqo_alloc.spec.loader import field_trees, load_deviations, observed, tables, validate_side

OBSERVED_HINT = (
    "every error of the response is a known deviation of the live API: "
    "--veeqo-alloc-deviations observed (or deviations=['observed']) accepts them"
)


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
        accepting = DeviationIndex([one for each in named for one in load_deviations(each)], datetime.date.today())
        self._settings = Settings(profile, severities(profile, rules), accepting, show_values)
        self._listener: Listener | None = None

    def __repr__(self) -> str:
        return f"<Contract, profile {self.profile}>"

    def severity_of(self, rule: str) -> Severity:
        """How bad *rule* is; KeyError for one that does not exist."""
        return self._settings.severities[rule]

    @property
    def deviations(self) -> tuple[Deviation, ...]:
        """What is accepted, packs included."""
        return self._settings.accepting.all

    @property
    def today(self) -> datetime.date:
        """The day by which deviations expire."""
        return self._settings.accepting.today

    def telling(self, listener: Listener | None) -> Self:
        """The same contract, which tells *listener* of every check; None: nobody."""
        other = copy.copy(self)
        other._listener = listener
        return other

    @property
    def is_counted(self) -> bool:
        """Whether somebody counts what interactions show."""
        return self._listener is not None and self._listener.counts

    def show(
        self, origin: Origin, interaction: Interaction, findings: Findings, *, keys: Iterable[str] = (), watched: bool
    ) -> None:
        """Tells of an *interaction* whose *findings* are known already. *watched*: so was the order of the requests."""
        if self._listener is not None:
            context = CheckContext(headers_filtered=origin == "cassette", known_keys=tuple(keys), watched=watched)
            self._told(origin, interaction, examine(interaction, tables(), context), findings, context)

    def show_more(self, origin: Origin, findings: Findings) -> None:
        """Tells of *findings* about several interactions together, each of which is told of by itself."""
        if self._listener is not None and len(findings):
            self._listener.tell(CheckEvent(origin, None, findings, lambda test: only_found(findings)))

    def check(
        self, interaction: Interaction, *, expect_status: int | None = None, broken_request: bool = False
    ) -> Findings:
        """Everything wrong with *interaction*. With *broken_request* the caller says that the request is broken on
        purpose: it is not checked, and a success in answer to it is a finding."""
        if not isinstance(interaction, Interaction):
            kind = type(interaction).__name__
            raise TypeError(
                f"check takes an Interaction, not {kind}; for what a client returned there is check_response"
            )
        return self._check(interaction, CheckContext(expect_status, broken_request))

    def check_request(self, request: Any) -> Findings:
        """Everything wrong with a request (see `pytest_veeqo_alloc.capture.client_objects.request_of` for what it may be)."""
        return self._check(Interaction(request_of(request)), CheckContext())

    def check_response(
        self, response: Any, *, expect_status: int | None = None, body: bytes | str | None = None
    ) -> Findings:
        """Everything wrong with a response and, where it carries one, with its request. *body* is what was read, for
        clients whose responses do not keep it. With an *expect_status* of 4xx the request is not checked."""
        return self._check(interaction_of(response, body=body), CheckContext(expect_status))

    def check_body(self, side: BodySide, value: Any) -> Findings:
        """Everything wrong with a body alone: parsed JSON, or bytes to be read first."""
        validate_side(side)
        examined = examine_body(side, value, tables())
        findings = to_findings(examined.said, tables(), self._settings)
        self._told(None, None, examined, findings, CheckContext())
        return findings

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

    def validate_body(self, side: BodySide, value: Any) -> Findings:
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
        """A sentence where the live API is known for every error of the response, else nothing."""
        errors = [error for error in findings.errors if error.side == "response"]
        known = errors and all(observed().find(error) is not None for error in errors)
        return OBSERVED_HINT if known else ""

    def watch(self, session: Any) -> Watch:
        """Watches a requests.Session, httpx.Client or httpx.AsyncClient; see `Watch`. TypeError for anything else."""
        return Watch(session, means=tables().operation.means, check=self.check, merge=self.merge)

    def check_stored(self, interaction: Interaction, *, expect_status: int | None = None) -> Findings:
        """`check` for what lay in a file, whose headers somebody may have filtered: a missing key is no finding."""
        return self._check(interaction, CheckContext(expect_status, headers_filtered=True))

    def check_served(self, request: Request, keys: Iterable[str], *others: Contract) -> list[Findings]:
        """`check_request` for a server that takes *keys*, which may stand in no URL: what this contract says, and what
        each of the *others* does, for one reading."""
        context = CheckContext(known_keys=tuple(keys))
        said = examine(Interaction(request), tables(), context).said
        found = (to_findings(said, tables(), each._settings) for each in (self, *others))
        return [without_keys(each, request, tables(), context) for each in found]

    def check_sequence(self, seen: Iterable[Seen], keys: Iterable[str] = ()) -> Findings:
        """What is wrong with requests as they followed upon each other at a server: see `sequence_breaches`."""
        breaches = sequence_breaches(seen, tables().operation, keys)
        return to_findings((("request", breach, None) for breach in breaches), tables(), self._settings)

    def lint(self, interaction: Interaction) -> Findings:
        """What seems to be secret in a stored interaction of any call. Not the contract: whether it may be shown."""
        return self._as_file(secret_breaches(interaction))

    def lint_body(self, side: BodySide, body: bytes) -> Findings:
        """`lint` for a body that is stored alone."""
        message = (
            Interaction(Request("", "", (), body)) if side == "request" else Interaction(None, Response(0, (), body))
        )
        return self.lint(message)

    def lint_age(self, recorded_on: datetime.date | None, max_age: int) -> Findings:
        """Whether a recording of that day (None: the file does not say) is older than *max_age* days."""
        return self._as_file(age_breaches(recorded_on, self._settings.accepting.today, max_age))

    def lint_version(self, version: object) -> Findings:
        """What is to be said of a cassette of another version than 1."""
        return self._as_file([format_breach(version)])

    def _as_file(self, breaches: Iterable[Breach]) -> Findings:
        return to_findings((("file", breach, None) for breach in breaches), tables(), self._settings)

    def merge(self, several: Iterable[Findings]) -> Findings:
        """The findings of several checks as one sequence."""
        listed = list(several)
        return Findings(
            (finding for findings in listed for finding in findings),
            accepted=(accepted for findings in listed for accepted in findings.accepted),
            profile=self.profile,
            operation=tables().operation.name,
        )

    def _check(self, interaction: Interaction, context: CheckContext) -> Findings:
        if context.expect_status is not None and not isinstance(context.expect_status, int):
            raise TypeError(f"expect_status is a number such as 404, not {type(context.expect_status).__name__}")
        examined = examine(interaction, tables(), context)
        findings = findings_of(examined, interaction, tables(), self._settings, context)
        self._told(None, interaction, examined, findings, context)
        return findings

    def _told(
        self,
        origin: Origin | None,
        interaction: Interaction | None,
        examined: RawResult,
        findings: Findings,
        context: CheckContext,
    ) -> None:
        if self._listener is not None:

            def look(test: str) -> Coverage:  # which is called only where somebody counts
                described = (tables(), field_trees())
                return look_at(interaction, examined, findings, described, self._settings, context, test)

            self._listener.tell(CheckEvent(origin, interaction, findings, look))


def parse_overrides(settings: Iterable[str]) -> dict[str, str]:
    """Severities by rule from texts such as `null-value=warning`; ValueError for a text of another form."""
    overrides = {}
    for setting in settings:
        rule, equals, severity = setting.partition("=")
        if not equals:
            raise ValueError(f"a rule is set as ID=SEVERITY, such as null-value=warning, not {setting!a}")
        overrides[rule.strip()] = severity.strip()
    return overrides
