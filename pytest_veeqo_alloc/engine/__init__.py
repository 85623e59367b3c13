"""The engine that runs checks for plugin, server and commands."""

from __future__ import annotations

import copy
import datetime
import os
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Protocol, Self

from pytest_veeqo_alloc.capture.client_objects import Watch
from pytest_veeqo_alloc.contract.checker import (
    CheckContext,
    ParsedRequest,
    RawResult,
    Settings,
    examine,
    examine_body,
    findings_of,
    mask_keys,
    to_findings,
)
from pytest_veeqo_alloc.contract.deviations import Deviation, DeviationIndex
from pytest_veeqo_alloc.contract.failure import ContractViolation
from pytest_veeqo_alloc.contract.findings import Breach, Findings
from pytest_veeqo_alloc.contract.http_rules import Seen, sequence_breaches
from pytest_veeqo_alloc.contract.rules import BodySide, severities
from pytest_veeqo_alloc.core.http import Interaction, Request
from pytest_veeqo_alloc.coverage.collector import Coverage, Origin, coverage_of_check, coverage_of_findings
from pytest_veeqo_alloc.coverage.listeners import CheckEvent, Listener
from pytest_veeqo_alloc.redaction.lint import secret_breaches
from pytest_veeqo_alloc.spec.loader import field_trees, load_deviations, observed_deviations, tables, validate_side

OBSERVED_HINT = (
    "every error of the response is a known deviation of the live API: "
    "--veeqo-alloc-deviations observed (or deviations=['observed']) accepts them"
)

_NO_CONTEXT = CheckContext()


class Engine:
    """All checks with one profile. The public `Contract`, which has the same arguments, offers only the documented checks.

    `check` and `check_body` publish an event. Methods named `evaluate...` do not; their callers call `publish` later.
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
        self.listener: Listener | None = None
        sources = [deviations] if isinstance(deviations, (str, os.PathLike, Deviation)) else deviations
        index = DeviationIndex(chain.from_iterable(map(load_deviations, sources)), datetime.date.today())
        self.settings = Settings(profile, severities(profile, rules), index, show_values)

    def with_listener(self, listener: Listener | None) -> Self:
        """Return a copy of this engine that publishes its events to *listener*."""
        other = copy.copy(self)
        other.listener = listener
        return other

    def check(self, interaction: Interaction, context: CheckContext = _NO_CONTEXT) -> Findings:
        """Return the findings about *interaction*, and publish an event with them."""
        raw = examine(interaction, tables(), context)
        findings = findings_of(raw, interaction, tables(), self.settings, context)
        self._publish(None, interaction, raw, findings, context)
        return findings

    def check_body(self, side: BodySide, value: Any) -> Findings:
        """Return the findings about the body *value*, parsed JSON or bytes, and publish an event with them."""
        validate_side(side)
        raw = examine_body(side, value, tables())
        findings = to_findings(raw.breaches, tables(), self.settings)
        self._publish(None, None, raw, findings, _NO_CONTEXT)
        return findings

    def watch(self, session: Any) -> Watch:
        """Watch a `requests.Session`, `httpx.Client` or `httpx.AsyncClient`. Raise TypeError for any other object."""
        return Watch(session, matches=tables().operation.matches, check=self.check, merge=self.merge)

    def evaluate(self, interaction: Interaction, context: CheckContext = _NO_CONTEXT) -> Findings:
        """Return the findings about *interaction* without publishing an event."""
        raw = examine(interaction, tables(), context)
        return findings_of(raw, interaction, tables(), self.settings, context)

    def evaluate_served(
        self, request: Request, keys: Iterable[str], *others: Engine, parsed: ParsedRequest | None = None
    ) -> list[Findings]:
        """Return the findings about *request* by the settings of this engine, then by those of each engine in *others*.

        *keys* are the API keys that the server accepts; a key in the URL is a finding. *parsed* is *request*, already parsed.
        """
        context = CheckContext(known_keys=tuple(keys))
        breaches = examine(Interaction(request), tables(), context, parsed).breaches
        found = (to_findings(breaches, tables(), engine.settings) for engine in (self, *others))
        return [mask_keys(findings, request, tables(), context) for findings in found]

    def evaluate_sequence(self, seen: Iterable[Seen], keys: Iterable[str] = ()) -> Findings:
        """Return the findings about *seen*, a sequence of requests to a server that accepts the API keys *keys*."""
        breaches = sequence_breaches(seen, tables().operation, keys)
        return to_findings((("request", breach, None) for breach in breaches), tables(), self.settings)

    def lint(self, interaction: Interaction) -> Findings:
        """Return findings about probable secrets in *interaction*, which may be a call of any operation."""
        return self.file_findings(secret_breaches(interaction))

    def file_findings(self, breaches: Iterable[Breach]) -> Findings:
        """Convert *breaches* of rules about files to findings, with the severities of this engine's profile."""
        return to_findings((("file", breach, None) for breach in breaches), tables(), self.settings)

    def merge(self, several: Iterable[Findings]) -> Findings:
        """Return the findings from several checks as one `Findings` object."""
        listed = list(several)
        return Findings(
            (finding for findings in listed for finding in findings),
            accepted=(accepted for findings in listed for accepted in findings.accepted),
            profile=self.profile,
            operation=tables().operation.name,
        )

    def raise_for_errors(self, findings: Findings) -> Findings:
        """Return *findings* unchanged. Raise ContractViolation if they contain a finding with the severity "error"."""
        __tracebackhide__ = True
        if not findings.ok:
            raise self.violation(findings)
        return findings

    def violation(self, findings: Findings) -> ContractViolation:
        """Return the exception to raise for *findings*."""
        return ContractViolation(findings, self.hint(findings))

    def hint(self, findings: Findings) -> str:
        """Return a hint if all response errors are known deviations of the live API, otherwise an empty string."""
        errors = [error for error in findings.errors if error.side == "response"]
        known = errors and all(observed_deviations().find(error) is not None for error in errors)
        return OBSERVED_HINT if known else ""

    @property
    def is_counting(self) -> bool:
        """Whether the listener counts coverage. If so, callers must `publish` what they evaluated."""
        return self.listener is not None and self.listener.counts

    def publish(self, origin: Origin, interaction: Interaction, findings: Findings, context: CheckContext) -> None:
        """Publish an event for *interaction*, with the *findings* that `evaluate` returned for it in *context*."""
        self._publish(origin, interaction, examine(interaction, tables(), context), findings, context)

    def publish_findings(self, origin: Origin, findings: Findings) -> None:
        """Publish an event for findings about a sequence of interactions. It does not count the interactions."""
        if self.listener is not None and len(findings):
            self.listener.on_check(CheckEvent(origin, None, findings, lambda test_id: coverage_of_findings(findings)))

    def _publish(
        self,
        origin: Origin | None,
        interaction: Interaction | None,
        raw: RawResult,
        findings: Findings,
        context: CheckContext,
    ) -> None:
        if self.listener is None:
            return

        def coverage(test_id: str) -> Coverage:  # called only by a listener that counts
            operation, deviations = tables().operation, self.settings.deviations
            return coverage_of_check(interaction, raw, findings, context, operation, field_trees(), deviations, test_id)

        self.listener.on_check(CheckEvent(origin, interaction, findings, coverage))


class HasEngine(Protocol):
    """An object that has a private engine, such as a public `Contract`."""

    _engine: Engine


def engine_of(contract: HasEngine | Engine) -> Engine:
    """Return the engine inside *contract*, a public `Contract`. If *contract* is an engine, return it unchanged."""
    return contract if isinstance(contract, Engine) else contract._engine
