"""What the documentation says about the conformance suite."""

from __future__ import annotations

import re
import shlex

import pytest
from support.pages import blocks, page

(HOOK,) = (block for block in blocks("python") if "import shop.veeqo" in block)


@pytest.fixture
def shop(pytester: pytest.Pytester) -> pytest.Pytester:
    """Write the client of the docs into a package `shop`."""
    (code,) = re.findall(
        r"^```python\n# shop/veeqo.py\n(.*?)^```$", page("howto/conformance.md"), re.MULTILINE | re.DOTALL
    )
    (pytester.mkpydir("shop") / "veeqo.py").write_text(code, encoding="utf-8")
    return pytester


CLIENT_SUITE = "pytest_veeqo_alloc.conformance.test_veeqo_alloc_client"


def test_client_of_the_docs_passes_the_suite(shop: pytest.Pytester) -> None:
    (command,) = (block for block in blocks("console") if "--veeqo-alloc-client shop.veeqo:make_client" in block)
    _, *options = shlex.split(command.removeprefix("$ "))
    options[1] = CLIENT_SUITE
    result = shop.runpytest_subprocess(*options, "-W", "error", "-p", "no:randomly")
    assert result.parseoutcomes().keys() == {"passed"}


def test_hook_names_the_client_of_an_imported_suite(shop: pytest.Pytester) -> None:
    shop.makeconftest(HOOK)
    (imported,) = re.findall(r"`(from \S+ import \*)`", page("howto/conformance.md"))
    shop.makepyfile(test_mine=imported)
    result = shop.runpytest_subprocess("-W", "error", "-k", "follows_rule")
    assert result.parseoutcomes().keys() == {"passed", "deselected"}


def test_option_wins_over_the_hook(shop: pytest.Pytester) -> None:
    shop.makeconftest(HOOK)
    result = shop.runpytest_subprocess("--pyargs", CLIENT_SUITE, "--veeqo-alloc-client", "shop.nowhere:make_client")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*no module 'shop.nowhere'*"])
