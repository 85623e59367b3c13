"""Those who hear of every check of a contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pytest_veeqo_alloc.contract.coverage import Coverage, Origin
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import Interaction


class Shown(NamedTuple):
    """One check: where the interaction came from (None: whoever checked handed it over), the interaction (None: a body
    alone), its findings, and a function from the name of a test to what the check showed."""

    origin: Origin | None
    interaction: Interaction | None
    findings: Findings
    look: Callable[[str], Coverage]


class Listener(Protocol):
    """Hears of every check of a contract."""

    @property
    def counts(self) -> bool:
        """Whether it wants to know what interactions showed that were checked already: they are read again for that."""

    def tell(self, shown: Shown) -> None:
        """Of one check."""
