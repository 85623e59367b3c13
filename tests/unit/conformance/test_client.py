"""The client under test: what is compared after a call, and where an API key may show."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from contextlib import ExitStack

import pytest

from pytest_veeqo_alloc import Story, World
from pytest_veeqo_alloc.conformance.client import BODY, Call, exception_text, log_records, record_text
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.orders.story import Allocation, Line
from pytest_veeqo_alloc.server.fake import Fake

KEY = "not-a-real-key"


class Unprintable:
    """An object without a text."""

    def __repr__(self) -> str:
        raise RuntimeError


class UnprintableError(Unprintable, Exception):
    """An exception without a text."""

    __str__ = Unprintable.__repr__


def call_that_made(*orders: Story) -> Call:
    """Return a call with `BODY` for order 7, after which the fake has *orders*."""
    ended = (True, None, 1, False, Findings(), World.of(*orders))
    return Call(7, BODY["allocation"], Fake(Engine()), Future(), ExitStack(), *ended)


LINES = (Line(quantity=9), Line(5, 9))
DIFFERENCES = {
    "exactly the allocation": (Story(7), []),
    "no allocation": (Story(7, allocations=()), ["0 allocations instead of 1"]),
    "two allocations": (Story(7, LINES, (Allocation(), Allocation(id=5))), ["2 allocations instead of 1"]),
    "another order": (Story(8), ["an allocation to order 8, not 7"]),
    "another warehouse": (Story(7, LINES, (Allocation(3),)), ["an allocation in warehouse 3, not 1784"]),
    "another sellable": (Story(7, LINES, (Allocation(lines=((5, 1),)),)), ["an allocation of {5: 1} (units by sellable), not of {1226615: 1}"]),
    "another quantity": (Story(7, LINES, (Allocation(lines=((1226615, 2),)),)), ["an allocation of {1226615: 2} (units by sellable), not of {1226615: 1}"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENCES)
def test_allocations_are_compared_with_the_given_one(name: str) -> None:
    order, differences = DIFFERENCES[name]
    assert list(call_that_made(order).differences()) == differences


def test_records_of_all_levels_are_collected_even_if_a_logger_does_not_propagate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, logger, added = logging.getLogger(), logging.getLogger("unit.shop"), logging.NullHandler()
    monkeypatch.setattr(logger, "propagate", False)
    before = (root.level, root.handlers[:], logging.getLogRecordFactory())
    with log_records() as records:
        logger.debug("sent %s", KEY)
        root.addHandler(added)
    assert [record.getMessage() for record in records] == [f"sent {KEY}"]
    assert added in root.handlers
    root.removeHandler(added)
    assert (root.level, root.handlers, logging.getLogRecordFactory()) == before


def test_text_of_a_record_has_its_message_attributes_and_traceback() -> None:
    with log_records() as records:
        try:
            raise RuntimeError("the cause")
        except RuntimeError:
            logging.getLogger("unit.shop").info("it %s", "failed", exc_info=True, extra={"headers": {"x-api-key": KEY}})
    text = record_text(records[0])
    assert all(part in text for part in ("it failed", "RuntimeError: the cause", KEY))


@pytest.mark.parametrize("arguments", [(KEY,), (KEY, Unprintable())], ids=["too few", "without a text"])
def test_record_that_cannot_be_formatted_is_no_error(arguments: tuple[object, ...]) -> None:
    with log_records() as records:
        logging.getLogger("unit.shop").info("%s and %s", *arguments)
    assert (KEY in record_text(records[0])) == (len(arguments) == 1)


def raised_with(kind: str) -> BaseException:
    """Return an exception that shows the API key in the way that *kind* names."""
    try:
        try:
            raise ValueError(KEY)
        except ValueError as inner:
            if kind == "cause":
                raise RuntimeError("failed") from inner
            if kind == "group":
                raise ExceptionGroup("failed", [ExceptionGroup("inner", [inner])]) from None
            if kind == "note":
                error = RuntimeError("failed")
                error.add_note(KEY)
                raise error from None
            if kind == "suppressed context":
                raise RuntimeError("failed") from None
            raise RuntimeError("failed")  # noqa: B904  # its context is what is tested
    except Exception as error:
        return error


@pytest.mark.parametrize("kind", ["cause", "context", "group", "note"])
def test_text_of_an_exception_has_what_a_traceback_shows(kind: str) -> None:
    assert KEY in exception_text(raised_with(kind))


def test_text_of_an_exception_lacks_a_suppressed_context() -> None:
    assert KEY not in exception_text(raised_with("suppressed context"))


def test_exception_without_a_text_is_no_error() -> None:
    assert "UnprintableError" in exception_text(UnprintableError())
    assert exception_text(None) == ""
