"""The engine that runs checks for plugin, server and commands."""

from __future__ import annotations

import copy
import datetime
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, Protocol, Self

from pytest_veeqo_alloc.capture.client_objects import Tracker, Watch
from pytest_veeqo_alloc.contract.checker import (
    NO_CONTEXT,
    CheckContext,
    ParsedRequest,
    RawResult,
    Settings,
    SidedBreach,
    examine,
    examine_body,
    to_findings,
)
from pytest_veeqo_alloc.contract.deviations import Deviation, DeviationIndex, Uses
from pytest_veeqo_alloc.contract.failure import ContractViolation
from pytest_veeqo_alloc.contract.findings import Breach, Findings
from pytest_veeqo_alloc.contract.http_rules import Seen, Statuses, sequence_breaches
from pytest_veeqo_alloc.contract.rules import CATALOGUE, BodySide, Profile, severities
from pytest_veeqo_alloc.core.http import Interaction, Request
from pytest_veeqo_alloc.core.json_pointer import mask_pointer
from pytest_veeqo_alloc.coverage.collector import (
    CheckEvent,
    Coverage,
    Listener,
    Origin,
    coverage_of_behaviour,
    coverage_of_check,
    coverage_of_findings,
    origin_of,
)
from pytest_veeqo_alloc.redaction.lint import secret_breaches
from pytest_veeqo_alloc.spec.loader import (
    documented_fields,
    field_trees,
    load_deviations,
    load_uses,
    observed_deviations,
    tables,
    validate_side,
)

OBSERVED_HINT = (
    "every error of the response is a known deviation of the live API: "
    "accept these errors with --veeqo-alloc-deviations observed (or deviations=['observed'])"
)


class Engine:
    """All checks with one profile, for internal use. The public class `Contract` takes the same arguments.

    `check` and `check_body` send an event to the listener. The methods `evaluate...` send no event: their callers call
    `publish` later.
    """

    def __init__(
        self,
        profile: Profile = "documented",
        *,
        rules: Mapping[Any, str] | None = None,
        deviations: Iterable[str | os.PathLike[str] | Deviation] | str = (),
        show_values: bool = False,
        uses: Iterable[str | os.PathLike[str]] | str = (),
    ) -> None:
        self.profile = profile
        self.listener: Listener | None = None
        self.shows_all = False
        sources = [deviations] if isinstance(deviations, (str, os.PathLike, Deviation)) else deviations
        index = DeviationIndex(chain.from_iterable(map(load_deviations, sources)), datetime.date.today())
        named = [uses] if isinstance(uses, (str, os.PathLike)) else list(uses)
        used = Uses(chain.from_iterable(map(load_uses, named))) if named else None
        self.settings = Settings(profile, severities(profile, rules), index, show_values, used)

    def with_listener(self, listener: Listener | None) -> Self:
        """Return a copy of this engine. The copy sends its events to *listener* (None: it sends no events)."""
        other = copy.copy(self)
        other.listener = listener
        return other

    def check(self, interaction: Interaction, context: CheckContext = NO_CONTEXT) -> Findings:
        """Check *interaction*, send an event with the findings to the listener, and return the findings."""
        if origin_of(interaction) == "fake" and context.expected is None:
            context = replace(context, is_final=False)  # the fake answers as the test tells it to
        return self._finish(examine(interaction, tables(), context))

    def check_body(self, side: BodySide, value: Any) -> Findings:
        """Check the body *value* (parsed JSON or bytes), send an event to the listener, and return the findings."""
        validate_side(side)
        return self._finish(examine_body(side, value, tables()))

    def _finish(self, raw: RawResult) -> Findings:
        findings = to_findings(raw, tables(), self.settings)
        self._publish(None, raw, findings)
        return findings

    def track(self, order: Any) -> Tracker:
        """Return a tracker of *order*, parsed JSON. On close, it sends an event with the fields that were read."""
        return Tracker(documented_fields(), order, self._publish_fields)

    def _publish_fields(self, tracker: Tracker) -> None:
        def coverage(test_id: str) -> Coverage:
            others = dict.fromkeys(map(str, map(mask_pointer, tracker.undocumented)), 1)
            return Coverage(read=dict.fromkeys(tracker.fields, 1), read_undocumented=others)

        if self.listener is not None:
            self.listener.on_check(CheckEvent("target", None, Findings(), coverage))

    def watch(self, session: Any, expect_status: Statuses = None, *, track: bool = False) -> Watch:
        """Check every allocation call of *session* from now on. Raise TypeError for an unsupported kind of session."""
        tracker = self.track(None) if track else None
        watch = Watch(session, tables().operation, check=self.check, merge=self.merge, tracker=tracker)
        watch.expect_status(expect_status)
        return watch

    def evaluate(self, interaction: Interaction, context: CheckContext = NO_CONTEXT) -> Findings:
        """Return the findings about *interaction*. Send no event to the listener."""
        return to_findings(examine(interaction, tables(), context), tables(), self.settings)

    def evaluate_served(
        self, request: Request, keys: Iterable[str], *others: Engine, parsed: ParsedRequest | None = None
    ) -> list[Findings]:
        """Check *request* to a server with the API keys *keys*. Return findings by this engine, then by *others*."""
        raw = examine(Interaction(request), tables(), CheckContext(known_keys=tuple(keys), watched=True), parsed)
        return [to_findings(raw, tables(), engine.settings) for engine in (self, *others)]

    def evaluate_sequence(self, seen: Iterable[Seen], keys: Iterable[str] = ()) -> Findings:
        """Return the findings about *seen*, the sequence of requests to a server. *keys* are API keys of the server."""
        breaches = sequence_breaches(seen, tables().operation, keys)
        return to_findings(RawResult([("request", breach, None) for breach in breaches]), tables(), self.settings)

    def lint(self, interaction: Interaction) -> Findings:
        """Return a finding for each probable secret in *interaction*, whether its operation is documented or not."""
        return self.file_findings(secret_breaches(interaction))

    def file_findings(self, breaches: Iterable[Breach]) -> Findings:
        """Convert *breaches* of file rules, such as `cassette-secret`, to findings."""
        return to_findings(RawResult([("file", breach, None) for breach in breaches]), tables(), self.settings)

    def merge(self, several: Iterable[Findings]) -> Findings:
        """Return the findings from several checks as one `Findings` object."""
        listed = list(several)
        accepted = chain.from_iterable(findings.accepted for findings in listed)
        unused = chain.from_iterable(findings.unused for findings in listed)
        named = (self.profile, tables().operation.name)
        return Findings(tuple(chain.from_iterable(listed)), tuple(accepted), *named, tuple(unused))

    def raise_for_errors(self, findings: Findings) -> Findings:
        """Raise ContractViolation if *findings* contain an error. Otherwise, return *findings* unchanged."""
        __tracebackhide__ = True
        if not findings.ok:
            raise self.violation(findings)
        return findings

    def violation(self, findings: Findings) -> ContractViolation:
        """Return the exception for *findings*. Its message includes the hint, if there is one."""
        return ContractViolation(findings, self.hint(findings), self.shows_all)

    def hint(self, findings: Findings) -> str:
        """Return a hint if every response error is a known deviation of the live API, otherwise an empty string."""
        errors = [error for error in findings.errors if error.side == "response"]
        known = errors and all(observed_deviations().find(error) is not None for error in errors)
        return OBSERVED_HINT if known else ""

    @property
    def is_counting(self) -> bool:
        """Whether the listener counts coverage. If so, a caller of `evaluate` must call `publish` later."""
        return self.listener is not None and self.listener.counts

    def publish(self, origin: Origin, interaction: Interaction, findings: Findings, context: CheckContext) -> None:
        """Send an event about *interaction* to the listener. *findings* come from an earlier call of `evaluate`."""
        self._publish(origin, examine(interaction, tables(), context), findings)

    def check_behaviour(
        self, rule: str, breach: Breach | None, case: str = "", interaction: Interaction | None = None
    ) -> Findings:
        """Convert *breach* of *rule*, if any, to a finding, send an event to the listener, and return the findings.

        The conformance suite calls this for its own rules, once for each *case* that it tries. The event has the origin
        of *interaction* (None: the fake).
        """
        (side,) = CATALOGUE[rule].sides
        breaches: list[SidedBreach] = [] if breach is None else [(side, breach._replace(case=case), None)]
        findings = to_findings(RawResult(breaches), tables(), self.settings)
        if self.listener is not None:

            def coverage(test_id: str) -> Coverage:
                return coverage_of_behaviour(rule, case, findings, self.settings.deviations)

            origin = "fake" if interaction is None else origin_of(interaction)
            self.listener.on_check(CheckEvent(origin, None, findings, coverage))
        return findings

    def publish_findings(self, origin: Origin, findings: Findings) -> None:
        """Send an event with *findings* about a sequence of requests. Each request also has an event of its own."""
        if self.listener is not None and not findings.is_empty:
            self.listener.on_check(CheckEvent(origin, None, findings, lambda test_id: coverage_of_findings(findings)))

    def _publish(self, origin: Origin | None, raw: RawResult, findings: Findings) -> None:
        if self.listener is None:
            return

        def coverage(test_id: str) -> Coverage:  # called only by a listener that counts
            check = (raw.interaction, raw, findings, raw.context, tables().operation)
            return coverage_of_check(*check, field_trees(), self.settings.deviations, test_id)

        self.listener.on_check(CheckEvent(origin, raw.interaction, findings, coverage))


class HasEngine(Protocol):
    """An object with a private engine, such as a `Contract`."""

    _engine: Engine


def engine_of(contract: HasEngine | Engine) -> Engine:
    """Return the engine of *contract*. If *contract* is itself an engine, return it unchanged."""
    return contract if isinstance(contract, Engine) else contract._engine
