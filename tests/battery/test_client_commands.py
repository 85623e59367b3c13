"""The example clients in other languages pass the conformance suite, and each defect fails the test named after it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from support.pages import blocks, files_of, page

from battery.clients import KEY_TEST, REPEAT_TEST, failure_test
from battery.outcomes import failed_tests
from battery.test_clients import CALLS

EXAMPLES = Path(__file__).parents[2] / "examples"
SUITE, MODULE = "pytest_veeqo_alloc.conformance", "test_veeqo_alloc_client"
REDIRECT_TEST = "test_client_sends_the_key_to_no_other_host[key-sent-elsewhere]"
TIMEOUT_TEST = "test_client_gives_up_a_slow_response[client-without-timeout]"
SHOWS_KEY = "echo $VEEQO_ALLOC_API_KEY >&2; exec node allocate.mjs"

COMMANDS = {
    "node that follows redirects": ("client_node", "node follows_redirects.mjs", {REDIRECT_TEST}),
    "node that shows the key": ("client_node", f"sh -c {shlex.quote(SHOWS_KEY)}", {KEY_TEST}),
    "PHP": ("client_php", "php allocate.php", set[str]()),
    "PHP that ignores the status": ("client_php", "php ignores_status.php", {failure_test("error status")}),
    "Ruby": ("client_ruby", "ruby allocate.rb", set[str]()),
    "Ruby that posts again": ("client_ruby", "ruby retries.rb", {REPEAT_TEST}),
    "Go": ("client_go", "./allocate", set[str]()),
    "Go without a timeout": ("client_go", "./no_timeout", {TIMEOUT_TEST}),
}
"""For each client: its folder, its command, and the tests that must fail."""


def require(*programs: str) -> None:
    """Skip the test if one of *programs* is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("name", COMMANDS)
def test_example_client_passes_and_its_defect_fails(name: str, pytester: pytest.Pytester) -> None:
    folder, command, tests = COMMANDS[name]
    require("go" if folder == "client_go" else folder.removeprefix("client_"))
    for file in (EXAMPLES / folder).iterdir():
        shutil.copy(file, pytester.path)
    if folder == "client_go":
        subprocess.run(["go", "build", f"{Path(command).name}.go"], check=True)
    result = pytester.runpytest_inprocess(
        "--pyargs", SUITE, "-q", "-W", "error", "-p", "no:cacheprovider", f"--veeqo-alloc-client-command={command}"
    )
    assert failed_tests(result) == {f"{MODULE}::{test}" for test in tests}, result.stdout.str()
    assert result.parseoutcomes()["passed"] > 50
    assert "conformance-" not in result.stdout.str(), "the output shows an API key"


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("client_[ngpr]*/*")), ids=lambda path: path.name)
def test_example_client_is_short(file: Path) -> None:
    if "client_requests" not in file.parts:
        assert len(file.read_text(encoding="utf-8").splitlines()) < 40


@pytest.mark.parametrize("number", [0, 1], ids=["one process per allocation", "persistent"])
def test_page_works_by_copy_and_paste(number: int, pytester: pytest.Pytester) -> None:
    require("node")
    for name, code in files_of("howto/other-languages.md"):
        assert (EXAMPLES / "client_node" / name).read_text(encoding="utf-8") == code
        (pytester.path / name).write_text(code, encoding="utf-8")
    shown = "".join(blocks("console", page("howto/other-languages.md")))
    command = re.findall(r"^\$ pytest (--pyargs .*)$", shown, flags=re.MULTILINE)[number]
    result = pytester.runpytest_inprocess(*shlex.split(command), "-W", "error")
    assert result.parseoutcomes().keys() == {"passed", "deselected"}
    (sent,) = re.findall(r"^veeqo-alloc: ([0-9]+) interactions", result.stdout.str(), flags=re.MULTILINE)
    assert int(sent) <= CALLS
