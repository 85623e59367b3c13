"""A breach: a rule that does not hold at a place, before a profile says how bad that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, overload

from pytest_veeqo_alloc.contract.rules import Basis, Severity, Side
from pytest_veeqo_alloc.core.json_pointer import WHOLE_BODY, mask_key, mask_location, mask_pointer
from pytest_veeqo_alloc.core.text import NOTHING


class Breach(NamedTuple):
    """What a check hands on. `wanted` and `remedy` replace the rule's own words where they are given."""

    rule: str
    pointer: str | None
    got: str = NOTHING
    wanted: str = ""
    location: str = "body"
    remedy: str = ""

    def __repr__(self) -> str:
        # The pointer may name what may not be shown; a finding knows how much of it may.
        return f"<Breach of {self.rule}>"


@dataclass(frozen=True, slots=True, repr=False)
class Finding:
    """One place where one rule does not hold.

    `pointer` is an RFC 6901 pointer into the body, or None for what is in no body; then `location` says where it is:
    `method`, `path`, `path:order_id`, `query:NAME`, `header:NAME` or `status`. `wanted` and `got` describe and never
    quote. The pointer is exact in memory; `repr`, `str` and pickles mask names that may not be shown.
    """

    rule: str
    basis: Basis
    severity: Severity
    side: Side
    location: str
    pointer: str | None
    wanted: str
    got: str
    remedy: str

    @property
    def message(self) -> str:
        """What was wanted and what came, in one line."""
        return f"wanted {self.wanted}; got {self.got}"

    @property
    def place(self) -> str:
        """Where it is, as it may be shown: the pointer, `(whole body)`, or the location."""
        if self.pointer is None:
            return mask_location(self.location)
        return mask_pointer(self.pointer) or WHOLE_BODY

    def masked(self) -> Finding:
        """The same finding with names that may not be shown masked in pointer and location."""
        return replace(self, pointer=mask_pointer(self.pointer), location=mask_location(self.location))

    def as_row(self) -> dict[str, str | None]:
        """What a program is told of it. Names that may not be shown are masked."""
        safe = self.masked()
        return {
            "rule": safe.rule, "basis": safe.basis, "severity": safe.severity, "side": safe.side,
            "location": safe.location, "pointer": safe.pointer, "message": safe.message,
        }  # fmt: skip

    def mask_keys(self, keys: Iterable[str]) -> Finding:
        """The same finding with every name masked that holds one of *keys*: somebody put a key in the place of a name."""
        pointer, location = self.pointer, self.location
        for key in keys:
            pointer, location = mask_key(pointer, key), mask_key(location, key) or location
        return (
            self
            if (pointer, location) == (self.pointer, self.location)
            else replace(self, pointer=pointer, location=location)
        )

    def __str__(self) -> str:
        return f"{self.severity}: {self.rule} at {self.side} {self.place}: {self.message}"

    def __repr__(self) -> str:
        return f"<Finding {self}>"

    def __copy__(self) -> Finding:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Finding:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        safe = self.masked()
        return Finding, (safe.rule, safe.basis, safe.severity, safe.side, safe.location, safe.pointer, safe.wanted,
                         safe.got, safe.remedy)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that a deviation covers, and the deviation's reason."""

    finding: Finding
    reason: str


class Findings(Sequence[Finding]):
    """All findings of one check, ordered by side, location, pointer and rule. Ask `.ok`; there is no truth value."""

    def __init__(
        self,
        findings: Iterable[Finding] = (),
        *,
        accepted: Iterable[Accepted] = (),
        profile: str = "documented",
        operation: str = "",
    ) -> None:
        self._all = tuple(findings)
        self.accepted = tuple(accepted)
        self.profile = profile
        self.operation = operation

    def with_findings(self, findings: Iterable[Finding], accepted: Iterable[Accepted] = ()) -> Findings:
        """Other findings of the same check: of its profile and operation."""
        return Findings(findings, accepted=accepted, profile=self.profile, operation=self.operation)

    def where(self, keeps: Callable[[Finding], bool]) -> Findings:
        """Those that *keeps* says, accepted ones too."""
        return self.with_findings(filter(keeps, self), (each for each in self.accepted if keeps(each.finding)))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that fail a check."""
        return tuple(finding for finding in self._all if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are counted and shown but fail nothing."""
        return tuple(finding for finding in self._all if finding.severity == "warning")

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def __bool__(self) -> bool:
        # `assert contract.check(response)` would pass exactly where it should fail.
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
        return iter(self._all)  # a sequence without it is walked until an IndexError, which costs more than a check may

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Findings):
            return NotImplemented
        return (self._all, self.accepted) == (other._all, other.accepted)

    def __hash__(self) -> int:
        return hash((self._all, self.accepted))

    def __repr__(self) -> str:
        return f"<Findings: {', '.join(map(repr, self._all)) or 'none'}>"
