"""`redact`: interactions without what may not be shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import overload

from pytest_veeqo_alloc.contract.redact import Redactor
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.spec.loader import tables


@overload
def redact(interactions: Interaction) -> Interaction: ...
@overload
def redact(interactions: Iterable[Interaction]) -> list[Interaction]: ...
def redact(interactions: Interaction | Iterable[Interaction]) -> Interaction | list[Interaction]:
    """One interaction or several, redacted: every string that is not known to be safe is replaced by a stand-in.

    A value has the same stand-in wherever it stands in one call. Bodies come back decoded, and one that is neither JSON
    nor a form is dropped, with a marker in its place. Twice is the same as once.
    """
    redactor = new_redactor()
    if isinstance(interactions, Interaction):
        return redactor.interaction(interactions)
    several = list(interactions)
    for each in several:
        redactor.expect(each)
    return [redactor.interaction(each) for each in several]


def new_redactor() -> Redactor:
    """A redactor that knows the documented fields, for as many interactions as are to share their stand-ins."""
    return Redactor(tables())
