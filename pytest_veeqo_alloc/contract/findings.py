"""Breaches and findings. A breach is a rule that is broken at a place. A finding is a breach with a severity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, NamedTuple, overload

from pytest_veeqo_alloc.contract.rules import Basis, RuleId, Severity, Side
from pytest_veeqo_alloc.core.json_pointer import WHOLE_BODY, mask_key, mask_location, mask_pointer
from pytest_veeqo_alloc.core.text import NOTHING


class Breach(NamedTuple):
    """A violation of a rule at one place. An empty `wanted` or `remedy` stands for the text of the rule.

    `case` names what was tried, for rules about behaviours such as `method-accepted`.
    """

    rule: str
    pointer: str | None
    got: str = NOTHING
    wanted: str = ""
    location: str = "body"
    remedy: str = ""
    case: str = ""

    def __repr__(self) -> str:
        # The pointer may contain a name that must not be shown, and only a finding masks it.
        return f"<Breach of {self.rule}>"


@dataclass(frozen=True, slots=True, repr=False)
class Finding:
    """A rule that is broken at a place, with the severity of the rule.

    `pointer` is a JSON Pointer if `location` is `body`, otherwise None. Other locations are `method`, `path`,
    `path:order_id`, `query:NAME`, `header:NAME`, `status`, and the method and path of an unknown call. `wanted` and
    `got` describe values. `case` names what was tried, for rules about behaviours. If a test sent several requests,
    `source` says which one. With `show_values`, `got` also quotes scalars. `str`, `repr` and pickles mask names that
    may be secret.
    """

    rule: RuleId
    basis: Basis
    severity: Severity
    side: Side
    location: str
    pointer: str | None
    wanted: str
    got: str
    remedy: str
    source: str = field(default="", compare=False)
    case: str = field(default="", compare=False)  # one behaviour that fails in several cases is one finding

    @property
    def message(self) -> str:
        """What was expected and what was found, in one line."""
        return f"wanted {self.wanted}; got {self.got}"

    @property
    def place(self) -> str:
        """The pointer or, outside the body, the location. Names that may be secret are masked."""
        if self.pointer is None:
            return mask_location(self.location)
        return mask_pointer(self.pointer) or WHOLE_BODY

    def masked(self) -> Finding:
        """Return a copy in which a placeholder replaces each name that may be secret."""
        return replace(self, pointer=mask_pointer(self.pointer), location=mask_location(self.location))

    def mask_keys(self, keys: Iterable[str]) -> Finding:
        """Return a copy in which a placeholder replaces each name that contains one of the API keys *keys*."""
        pointer, location = self.pointer, self.location
        for key in keys:
            pointer, location = mask_key(pointer, key), mask_key(location, key) or location
        unchanged = (pointer, location) == (self.pointer, self.location)
        return self if unchanged else replace(self, pointer=pointer, location=location)

    def as_row(self) -> dict[str, str | None]:
        """Return the finding as a JSON object. Names that may be secret are masked."""
        safe = self.masked()
        names = ("rule", "basis", "severity", "side", "location", "pointer", "message")
        return {name: getattr(safe, name) for name in names}

    def __str__(self) -> str:
        return f"{self.severity}: {self.rule} at {self.side} {self.place}: {self.message}"

    def __repr__(self) -> str:
        return f"<Finding {self}>"

    # A copy is exact, whereas a pickle is masked.
    def __copy__(self) -> Finding:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Finding:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Finding, astuple(self.masked())


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that a deviation accepts, with the reason from the deviation."""

    finding: Finding
    reason: str


@dataclass(frozen=True, repr=False)
class Findings(Sequence[Finding]):
    """The findings of a check, ordered by side, location, pointer and rule. Use `.ok`: `bool()` raises TypeError.

    The sequence leaves out two kinds: `accepted` has the findings that a deviation accepts, and `unused` has the findings
    at response fields that the client does not use.
    """

    _all: tuple[Finding, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    profile: str = field(default="documented", compare=False)
    operation: str = field(default="", compare=False)
    unused: tuple[Finding, ...] = ()

    def with_findings(self, findings: Iterable[Finding], accepted: Iterable[Accepted]) -> Findings:
        """Return a copy with *findings* and *accepted* findings, and the same profile and operation."""
        return replace(self, _all=tuple(findings), accepted=tuple(accepted))

    def with_source(self, source: str) -> Findings:
        """Return a copy in which each finding has the source *source*, such as `request 2 of 3`."""
        if not source or not len(self):
            return self
        return self.with_findings((replace(finding, source=source) for finding in self), self.accepted)

    def distinct(self) -> Findings:
        """Return a copy in which equal findings occur only once."""
        return self.with_findings(dict.fromkeys(self), self.accepted)

    def where(self, keep: Callable[[Finding], bool]) -> Findings:
        """Return a copy that contains only the findings and accepted findings for which *keep* returns true."""
        kept = self.with_findings(filter(keep, self), (entry for entry in self.accepted if keep(entry.finding)))
        return replace(kept, unused=tuple(filter(keep, self.unused)))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that fail a check."""
        return tuple(finding for finding in self._all if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that a check reports without failing."""
        return tuple(finding for finding in self._all if finding.severity == "warning")

    @property
    def is_empty(self) -> bool:
        """Whether there is no finding at all, not even an accepted or unused one."""
        return not (self._all or self.accepted or self.unused)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def __bool__(self) -> bool:
        # `assert contract.check(response)` would pass exactly if there are findings.
        raise TypeError("findings have no truth value: use .ok, or validate() instead of check()")

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)  # the inherited method asks for one item at a time, which is slow

    def __repr__(self) -> str:
        return f"<Findings: {', '.join(map(repr, self._all)) or 'none'}>"
