"""The fixture and the marker of cassettes, in runs of their own."""

from __future__ import annotations

import json

import pytest
import yaml  # noqa: F401  # before a run of pytester, which would load a second copy of its C types
from support.bodies import BODY
from support.cassettes import created, write
from support.plugins import STRICTLY

PREAMBLE = f"""
import json
import unittest
import httpx
import pytest
import requests

BODY = {json.dumps(BODY)}
URL = "https://shop.example.net/orders/99/allocations"

def post(url=URL, body=BODY, **headers):
    return requests.post(url, json=body, headers=headers, timeout=10)
"""


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=PREAMBLE + tests)
    return pytester.runpytest_subprocess(*STRICTLY, *options)


TESTS = """
@pytest.mark.veeqo_alloc_cassette("created")
def test_marked():
    assert post().json()["id"] == 447452

@pytest.mark.veeqo_alloc_cassette("created")
def test_marked_with_the_fixture(veeqo_alloc_cassette):
    post()
    with veeqo_alloc_cassette.use("unauthorized"):
        assert post().status_code == 401

@pytest.fixture
def ready():
    return post().status_code

@pytest.mark.veeqo_alloc_cassette("created")
def test_other_fixtures_play_too(ready):
    assert ready == 201

@pytest.mark.veeqo_alloc_cassette("created")
class TestMarkedClass:
    def test_it(self):
        assert post().ok

class TestCase(unittest.TestCase):
    @pytest.mark.veeqo_alloc_cassette("created")
    def test_it(self):
        self.assertEqual(post().status_code, 201)

@pytest.mark.veeqo_alloc_cassette("created")
def test_bad_request():
    post(body=BODY["allocation"])

@pytest.mark.xfail(strict=True)
@pytest.mark.veeqo_alloc_cassette("created")
def test_bad_request_that_is_expected():
    post(body=BODY["allocation"])

@pytest.mark.vcr
def test_of_pytest_recording():
    pass
"""


@pytest.mark.with_plugins("xdist", "recording")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_marker_and_fixture_play_and_check(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    result = run(pytester, TESTS, *options)
    result.assert_outcomes(passed=6, failed=1, xfailed=1)
    result.stdout.fnmatch_lines([
        "request of POST /orders/{order_id}/allocations: 1 error (profile documented)",
        "  (whole body)                                 request-not-wrapped",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*veeqo-alloc: warning*")


@pytest.mark.with_plugins("recording")
def test_cassette_of_pytest_recording_plays_in_the_same_run(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("cassettes")
    folder.joinpath("test_it").mkdir()
    write(folder / "test_it", "test_theirs", created())
    result = run(
        pytester,
        """
@pytest.mark.vcr
def test_theirs(vcr):
    assert requests.post("https://api.example.com/orders/447452/allocations", json=BODY, timeout=10).ok
    assert vcr.play_count == 1

@pytest.mark.veeqo_alloc_cassette("created")
def test_ours():
    assert post().ok
""",
    )
    result.assert_outcomes(passed=2)


def test_unmatched_request_shows_the_users_line_only(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.veeqo_alloc_cassette("created")
def test_it():
    requests.post("https://shop.example.net/products?" + "can" + "ary=1", headers={"key": "can" + "ary"}, timeout=10)
""",
        "--junitxml=out.xml",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        ">       requests.post(*",
        "E       pytest_veeqo_alloc.recording.matching.UnmatchedRequestError: the cassette 'created' has no interaction left*",
        "E         path                                         recorded a path of another API operation, got the path of this call",
        "E         query:canary                                 recorded nothing, got a value of 1 character",
        "test_it.py:*: UnmatchedRequestError",
    ], consecutive=False)  # fmt: skip
    result.stdout.no_fnmatch_line("*site-packages*")
    result.stdout.no_fnmatch_line("*<Request*")
    result.stdout.no_fnmatch_line("*Captured veeqo-alloc call*")
    assert "canary=1" not in (pytester.path / "out.xml").read_text(encoding="utf-8")


def test_swallowed_mismatch_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.veeqo_alloc_cassette("created")
def test_it():
    post()
    try:
        post()
    except Exception:
        pass
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "veeqo-alloc: the cassette 'created' has no interaction left for POST /orders/{order_id}/allocations: 1 match "
        "already played; allow_playback_repeats=True permits repeats"
    ])  # fmt: skip


LEFT = """
@pytest.mark.veeqo_alloc_cassette("mine")
def test_left():
    requests.post("https://api.example.com/orders/1/allocations", json=BODY, timeout=10)

@pytest.mark.veeqo_alloc_cassette("mine", strict_play=True)
def test_strict():
    requests.post("https://api.example.com/orders/2/allocations", json=BODY, timeout=10)
"""


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_unplayed_interactions_are_a_warning_or_a_failure(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    write(pytester.mkdir("own"), "mine", created(1), created(2))
    result = run(pytester, LEFT, "--veeqo-alloc-cassette-dir=own", *options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([
        "veeqo-alloc: 1 of 2 interactions of the cassette 'mine' were not played (strict_play=True)",
        "veeqo-alloc: warning: 1 of 2 interactions of the cassette 'mine' were not played by test_it.py::test_left",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*not played by*test_strict*")


ORPHANS = """
@pytest.mark.veeqo_alloc_cassette("mine")
def test_one():
    requests.post("https://api.example.com/orders/447452/allocations", json=BODY, timeout=10)

def test_other():
    pass
"""


@pytest.mark.with_plugins("xdist")
def test_unused_cassettes_are_reported_after_a_full_run(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nveeqo_alloc_cassette_dir = own\n")
    folder = pytester.mkdir("own")
    for name in ("mine", "orphan"):
        write(folder, name, created())
    (folder / "of-another-call.yaml").write_text("interactions: []\nversion: 1\n", encoding="utf-8")
    orphans = "veeqo-alloc: warning: no test used orphan.yaml in */own"
    run(pytester, ORPHANS).stdout.fnmatch_lines([orphans])
    run(pytester, ORPHANS, "-n", "2").stdout.fnmatch_lines([orphans])
    run(pytester, ORPHANS, ".").stdout.fnmatch_lines([orphans])
    for partly in (("-k", "one"), ("test_it.py::test_one",), ("test_it.py",)):
        result = run(pytester, ORPHANS, *partly)
        result.stdout.no_fnmatch_line("*no test used*")


@pytest.mark.parametrize(
    ("test", "options", "line"),
    [
        ('@pytest.mark.veeqo_alloc_cassette("creatd")\ndef test_it(): pass', (), "veeqo-alloc: no cassette 'creatd' in */tests/cassettes or in the package: did you mean 'created'?*"),
        ('@pytest.mark.veeqo_alloc_cassette\ndef test_it(): pass', (), "veeqo-alloc: no cassette 'test_it/test_it' in */tests/cassettes or in the package: record it*"),
        ('@pytest.mark.veeqo_alloc_cassette("created")\n@pytest.mark.veeqo_alloc_cassette("created-partial")\ndef test_it(): pass', (), "veeqo-alloc: several markers veeqo_alloc_cassette on one test: keep one, and play the other cassettes with veeqo_alloc_cassette.use()"),
        ('@pytest.mark.veeqo_alloc_cassette("created", relaxed=1)\ndef test_it(): pass', (), "veeqo-alloc: invalid marker arguments; use*"),
        ('@pytest.mark.veeqo_alloc_cassette("created", relax=["bdy"])\ndef test_it(): pass', (), "veeqo-alloc: unknown part of a request to relax 'bdy': did you mean 'body'?"),
    ],
)  # fmt: skip
def test_wrong_marker_is_reported(pytester: pytest.Pytester, test: str, options: tuple[str, ...], line: str) -> None:
    result = run(pytester, test, *options)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([line])
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_cassette_that_was_never_entered_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
def test_forgotten(veeqo_alloc_cassette):
    veeqo_alloc_cassette.use("created")
""")  # fmt: skip
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the cassette 'created' was not played: write `with veeqo_alloc_cassette.use(...):`"])


def test_bundled_cassette_in_place_of_a_recording_is_reported(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.mark.veeqo_alloc_cassette("created")
def test_it():
    assert post().status_code == 201
"""
    warning = "veeqo-alloc: warning: 'created' was not recorded: a bundled cassette of that name was played; choose another name"
    result = run(pytester, tests, "--veeqo-alloc-record-mode", "once")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([warning])
    run(pytester, tests).stdout.no_fnmatch_line(warning)


def test_unknown_record_mode_is_a_usage_error(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(): pass", "--veeqo-alloc-record-mode=onec")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: veeqo-alloc: unknown record mode 'onec': did you mean 'once'?"])


@pytest.mark.with_plugins("rerunfailures")
def test_rerun_is_judged_by_its_last_attempt(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
RUNS = []

@pytest.mark.flaky(reruns=1)
@pytest.mark.veeqo_alloc_cassette("created")
def test_it():
    RUNS.append(1)
    post(body=BODY if len(RUNS) > 1 else BODY["allocation"])
""",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 passed, 1 rerun*"])


def test_cassette_is_named_after_the_test_unless_the_marker_has_a_name(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("cassettes")
    folder.joinpath("test_it").mkdir()
    for name in ("test_plain", "test_with[1-a b]", "TestIt.test_method[x_y]-b65b5e0c"):
        write(folder / "test_it", name, created())
    result = run(pytester, """
CALL = "https://api.example.com/orders/447452/allocations"

@pytest.mark.veeqo_alloc_cassette
def test_plain():
    assert requests.post(CALL, json=BODY, timeout=10).ok

@pytest.mark.veeqo_alloc_cassette(strict_play=True)
@pytest.mark.parametrize(("one", "two"), [(1, "a b")])
def test_with(one, two):
    assert requests.post(CALL, json=BODY, timeout=10).ok

class TestIt:
    @pytest.mark.veeqo_alloc_cassette()
    @pytest.mark.parametrize("path", ["x/y"])
    def test_method(self, path):
        assert requests.post(CALL, json=BODY, timeout=10).ok
""", "-o", "veeqo_alloc_cassette_dir=cassettes")  # fmt: skip
    result.assert_outcomes(passed=3)


def test_cassette_of_a_test_in_a_folder_is_in_a_folder_of_that_name(pytester: pytest.Pytester) -> None:
    tests = pytester.mkdir("tests")
    for folder in ("a", "b"):
        (tests / "cassettes" / folder / "test_it").mkdir(parents=True)
        write(tests / "cassettes" / folder / "test_it", "test_it", created(1 if folder == "a" else 2))
        (tests / folder).mkdir()
        (tests / folder / "test_it.py").write_text(f"""
import pytest
import requests

@pytest.mark.veeqo_alloc_cassette
def test_it():
    url = "https://api.example.com/orders/{1 if folder == "a" else 2}/allocations"
    assert requests.post(url, json={BODY}, timeout=10).ok
""")  # fmt: skip
    pytester.runpytest_subprocess(*STRICTLY, "--import-mode=importlib").assert_outcomes(passed=2)


def test_hosts_of_the_ini_file_can_be_reached(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
import socket

@pytest.mark.veeqo_alloc_cassette("created", allow_hosts=["127.0.0.2"])
def test_it():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(listener.getsockname()).close()
    post()
""", "-o", "veeqo_alloc_cassette_allow_hosts=127.0.0.1")  # fmt: skip
    result.assert_outcomes(passed=1)


def test_cassette_that_is_too_old_fails_the_test(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("cassettes")
    write(folder, "old", created(Date="Fri, 12 Jul 2019 10:20:04 GMT"))
    tests = """
@pytest.mark.veeqo_alloc_cassette("old")
def test_old():
    requests.post("https://api.example.com/orders/447452/allocations", json=BODY, timeout=10)

@pytest.mark.veeqo_alloc_cassette("created")
def test_bundled():
    post()
"""
    options = ("-o", "veeqo_alloc_cassette_dir=cassettes", "-o", "veeqo_alloc_record_mode=once")
    run(pytester, tests, *options).assert_outcomes(passed=2)
    result = run(pytester, tests, *options, "--veeqo-alloc-cassette-max-age", "30")
    result.assert_outcomes(passed=1, errors=1)
    line = "veeqo-alloc: the cassette *old.yaml is a recording from * days ago, and at most 30 days are allowed: record it again"
    result.stdout.fnmatch_lines([line])


LASTING = """
@pytest.fixture(scope="module")
def order(veeqo_alloc_cassettes):
    with veeqo_alloc_cassettes.use("created") as cassette:
        yield post(body=ASKED).json()
    assert cassette.play_count == 1

def test_one(order, veeqo_alloc_contract):
    assert veeqo_alloc_contract.check_body("response", order).ok

@pytest.mark.veeqo_alloc_cassette("unauthorized")
def test_two(order):
    assert post().status_code == 401
"""


def test_cassette_of_a_module_fixture_plays_and_is_checked(pytester: pytest.Pytester) -> None:
    run(pytester, f"ASKED = BODY\n{LASTING}").assert_outcomes(passed=2)
    result = run(pytester, f"ASKED = BODY['allocation']\n{LASTING}")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*request of POST /orders/{order_id}/allocations: 1 error*", "*request-not-wrapped*"])
    result.stdout.fnmatch_lines(["veeqo-alloc: 3 interactions checked", "FAILED test_it.py::test_one *"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_errors_under_a_lasting_cassette_fail_the_tests_that_they_are_in(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
@pytest.fixture(scope="session")
def lasting(veeqo_alloc_cassettes):
    with veeqo_alloc_cassettes.use("created", allow_playback_repeats=True):
        yield
        post(body=[])

def test_good(lasting):
    post()

def test_bad(lasting):
    post(body=BODY["allocation"])

def test_unmatched(lasting):
    with pytest.raises(Exception):
        post(url="https://shop.example.net/products")

def test_last(lasting):
    post()
""")  # fmt: skip
    result.assert_outcomes(passed=2, failed=2, errors=1)
    result.stdout.fnmatch_lines([
        "*ERROR at teardown of test_last*", "  (whole body) *wrong-type", "*FAILURES*", "  (whole body) *request-not-wrapped",
        "veeqo-alloc: the cassette 'created' has no interaction left for this POST request*", "veeqo-alloc: 3 interactions checked",
    ])  # fmt: skip


def test_unknown_cassette_of_a_session_fixture_is_reported(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
@pytest.fixture(scope="session")
def order(veeqo_alloc_cassettes):
    with veeqo_alloc_cassettes.use("creatd"):
        yield

def test_it(order):
    pass
""")  # fmt: skip
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no cassette 'creatd'*did you mean 'created'?*"])
