"""Coverage of a single process, added up in memory."""

from __future__ import annotations

import threading

from pytest_veeqo_alloc.contract.coverage import ORIGINS, Coverage, Origin, origin_of
from pytest_veeqo_alloc.listener import Shown


class Counted:
    """Adds up in memory what the checks of a single process show: a listener of a contract."""

    counts = True

    def __init__(self) -> None:
        self.by_origin: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
        self._lock = threading.Lock()

    def tell(self, shown: Shown) -> None:
        """Of one check."""
        with self._lock:
            self.by_origin[shown.origin or origin_of(shown.interaction)].add(shown.look(""))
