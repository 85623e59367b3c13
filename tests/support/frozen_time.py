"""Time that stands still, as under freezegun."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock


@contextmanager
def frozen_time() -> Iterator[None]:
    """Replace the clocks in `time` and in every module of the package that has one as an attribute, like freezegun."""
    clocks = {id(clock): clock() for clock in (time.time, time.monotonic)}
    modules = [
        module
        for name, module in sys.modules.items()
        if name in ("time", "asyncio.base_events") or name.startswith("pytest_veeqo_alloc")
    ]
    with ExitStack() as stack:
        for module in modules:
            for name, value in list(vars(module).items()):
                if (now := clocks.get(id(value))) is not None:
                    stack.enter_context(mock.patch.object(module, name, lambda now=now: now))
        yield
