from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.servers import allocating


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with allocating() as url:
        yield url
