from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.servers import serving


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with serving() as url:
        yield url
