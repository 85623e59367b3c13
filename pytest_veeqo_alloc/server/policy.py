"""What the fake does where the documentation is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pytest_veeqo_alloc.contract.error_responses import ERROR_ANSWERS
from pytest_veeqo_alloc.contract.rules import severities
from pytest_veeqo_alloc.core.text import unknown

MAKE_UP, PARTIAL, ADD, SKIP, ACCEPT = "make-up", "partial", "add", "skip", "accept"

_WORDS = {
    "unknown_order": MAKE_UP, "unknown_warehouse": MAKE_UP, "unknown_sellable": MAKE_UP, "short_stock": PARTIAL,
    "already_allocated": ADD, "quantity_below_one": SKIP, "malformed_json": None, "wrong_key": ACCEPT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """What the page leaves open. Each field is the one word said with it, or the name of an error answer
    (`not-found`, `unprocessable`, ...) that is given instead; ValueError for anything else.

    - `unknown_order`, `unknown_warehouse`, `unknown_sellable`: `make-up` makes it up, with stock that suffices.
    - `short_stock`: `partial` allocates what there is; where there is nothing, the answer is `unprocessable`.
    - `already_allocated`: `add` allocates more of a sellable than its order still needs.
    - `quantity_below_one`: `skip` leaves such a line out.
    - `malformed_json`: for a body that cannot be read.
    - `wrong_key`: `accept` takes any key, and none.
    - `refuses`: a profile. A request that has an error in it is refused; what cannot be carried out always is.

    Only `wrong_key`, a 401, is known from the live API (of other calls); the rest is a choice that helps a first test.
    """

    unknown_order: str = MAKE_UP
    unknown_warehouse: str = MAKE_UP
    unknown_sellable: str = MAKE_UP
    short_stock: str = PARTIAL
    already_allocated: str = ADD
    quantity_below_one: str = "unprocessable"
    malformed_json: str = "bad-request"
    wrong_key: str = "unauthorized"
    refuses: str = "lenient"

    def __post_init__(self) -> None:
        severities(self.refuses)  # refuses a profile that does not exist
        for name, word in _WORDS.items():
            value = getattr(self, name)
            if value not in (word, *ERROR_ANSWERS):
                raise ValueError(unknown(f"answer for {name}", value, [*([word] if word else []), *ERROR_ANSWERS]))

    @classmethod
    def strict(cls) -> Self:
        """Nothing is made up, nothing is done in part, and every request that the strict profile finds wrong is
        refused."""
        return cls(
            unknown_order="not-found",
            unknown_warehouse="unprocessable",
            unknown_sellable="unprocessable",
            short_stock="unprocessable",
            already_allocated="unprocessable",
            refuses="strict",
        )


POLICIES = {"default": Policy, "strict": Policy.strict}
"""The presets by name."""
