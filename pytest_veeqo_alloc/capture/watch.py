"""Looking over the shoulder of a session: every allocation that it makes becomes an interaction."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pytest_veeqo_alloc.capture.objects import interaction_of, line_of
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import Interaction


class Watch:
    """The interactions of one session, and what is wrong with them.

    Only what *means* recognises is kept; the rest is counted in `skipped`. A request whose body is a stream cannot be
    looked at; the response to it is checked alone. A context manager: leaving it, or `close()`, stops the watching.
    Hooks that a single call passes to requests replace those of its session, so such a call is not seen.
    """

    def __init__(
        self,
        session: Any,
        *,
        means: Callable[[Interaction], bool],
        check: Callable[[Interaction], Findings],
        merge: Callable[[list[Findings]], Findings],
    ) -> None:
        self.interactions: list[Interaction] = []
        self.skipped = 0
        self._means, self._check, self._merge = means, check, merge
        self._checked: list[Findings] = []
        self._hooks, self._hook = self._attach(session)

    @property
    def findings(self) -> Findings:
        """The findings of all interactions so far, in the order in which they were seen."""
        while len(self._checked) < len(self.interactions):
            self._checked.append(self._check(self.interactions[len(self._checked)]))
        return self._merge(self._checked)

    def close(self) -> None:
        """Stop watching; what was collected stays. Closing twice is fine."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attach(self, session: Any) -> tuple[list[Any], Callable[..., Any]]:
        """Adds our hook to the response hooks of *session*; returns both."""
        hook: Callable[..., Any]
        events = getattr(session, "event_hooks", None)
        if isinstance(events, dict):
            hook = self._see_async if hasattr(session, "aclose") else self._see_httpx
        elif isinstance(events := getattr(session, "hooks", None), dict):
            hook = self._see_requests
        else:
            raise TypeError(
                f"cannot watch a {type(session).__module__}.{type(session).__qualname__}: "
                "it takes a requests.Session, an httpx.Client or an httpx.AsyncClient"
            )
        hooks = events.setdefault("response", [])
        if not isinstance(hooks, list):  # requests takes a single function as well
            hooks = events["response"] = [hooks]
        hooks.append(hook)
        return hooks, hook

    def _see_requests(self, response: Any, *args: object, **kwargs: object) -> None:
        if self._is_meant(response):
            _ = response.content
            self.interactions.append(interaction_of(response))

    def _see_httpx(self, response: Any) -> None:
        if self._is_meant(response):
            response.read()
            self.interactions.append(interaction_of(response))

    async def _see_async(self, response: Any) -> None:
        if self._is_meant(response):
            await response.aread()
            self.interactions.append(interaction_of(response))

    def _is_meant(self, response: Any) -> bool:
        """Whether to keep it, told before any body is read: that of another call is none of our business."""
        meant = self._means(Interaction(line_of(response)))
        self.skipped += not meant
        return meant
