"""A foreign server in a run of pytest: the guards, the budget of all processes, recording, and clean-up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.live import KEY, pool_request
from support.plugins import STRICTLY
from support.staging import Staging

from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.coverage.report_model import totals_by_origin
from pytest_veeqo_alloc.live.journal import default_name, read_journal
from pytest_veeqo_alloc.reporting.report_file import load

POOL = "[[order]]\nid = 7\nwarehouse_id = 5\nsellables = { 11 = 50 }\n"

PREAMBLE = (
    f"BODY = {pool_request()}\n"
    + """
import os
import pytest
import requests
"""
)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    (pytester.path / "pool.toml").write_text(POOL, encoding="utf-8")
    return pytester


def options(server: Staging, *more: str) -> tuple[str, ...]:
    host = server.url.partition("://")[2]
    return (*STRICTLY, f"--veeqo-alloc-base-url={server.url}", f"--veeqo-alloc-allow-host={host}",
            "--veeqo-alloc-orders=pool.toml", *more)  # fmt: skip


def journal_of(suite: pytest.Pytester, server: Staging) -> Path:
    return suite.path / default_name(server.url.partition("://")[2])


def run(suite: pytest.Pytester, tests: str, *given: str) -> pytest.RunResult:
    suite.makepyfile(test_it=PREAMBLE + tests)
    result = suite.runpytest_subprocess(*given)
    for path in suite.path.rglob("*"):
        if path.is_file() and path.suffix in (".jsonl", ".yaml", ".xml"):
            assert KEY not in path.read_text(encoding="utf-8")
    result.stdout.no_fnmatch_line(f"*{KEY}*")
    return result


def test_without_permission_nothing_is_sent_and_missing_options_are_listed(
    suite: pytest.Pytester, server: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VEEQO_ALLOC_API_KEY")
    tests = """
def test_it(veeqo_alloc_target):
    veeqo_alloc_target.post(7, BODY)

def test_that_does_not_write():
    pass
"""
    result = run(suite, tests, *STRICTLY, "--veeqo-alloc-base-url=https://staging.example.com")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([
        "veeqo-alloc: nothing was sent:",
        "  - confirm the host that may receive writes: --veeqo-alloc-allow-host staging.example.com:443",
        "  - put the API key into the environment variable VEEQO_ALLOC_API_KEY",
        "  - limit the number of writes: --veeqo-alloc-max-writes N, with N above 0",
        "  - list the orders that may be written to: --veeqo-alloc-orders pool.toml, or 'any' for *",
    ])  # fmt: skip
    assert server.seen == []
    result = run(suite, tests, *STRICTLY)
    result.stdout.fnmatch_lines(["  - name the server: --veeqo-alloc-base-url https://staging.example.com"])


MANY = """
@pytest.mark.parametrize("number", range(12))
def test_it(veeqo_alloc_target, number):
    assert veeqo_alloc_target.foreign
    assert veeqo_alloc_target.post(7, BODY).response.status == 201

def test_pool(veeqo_alloc_orders):
    assert [order.id for order in veeqo_alloc_orders] == [7]
"""


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_processes_together_never_exceed_the_budget(
    suite: pytest.Pytester, server: Staging, processes: tuple[str, ...]
) -> None:
    result = run(suite, MANY, *options(server, "--veeqo-alloc-max-writes=4"), *processes)
    result.assert_outcomes(passed=5, failed=8)
    assert len(server.posts) == 4
    result.stdout.fnmatch_lines([
        "veeqo-alloc: profile documented, target http://127.0.0.1:*",
        "E       *RefusedError: the budget of 4 writes is spent (--veeqo-alloc-max-writes)",
        "veeqo-alloc: 4 of 4 writes to 127.0.0.1:*, journal */veeqo-alloc-journal-127.0.0.1-*.jsonl",
    ])  # fmt: skip
    entries = read_journal(journal_of(suite, server)).entries
    assert [entry.outcome for entry in entries] == [201] * 4


def test_journal_of_another_server_stops_nothing(suite: pytest.Pytester, server: Staging) -> None:
    other = suite.path / default_name("127.0.0.1:1")
    other.write_text("not a journal", encoding="utf-8")
    result = run(suite, MANY, *options(server, "--veeqo-alloc-max-writes=4"), "-k", "test_it and 7")
    result.assert_outcomes(passed=1)
    assert other.read_text(encoding="utf-8") == "not a journal"


def test_run_is_cleaned_up_at_its_end(suite: pytest.Pytester, server: Staging) -> None:
    server.answers = ["die"]
    tests = """
def test_it(veeqo_alloc_target):
    with pytest.raises(Exception, match="UNKNOWN"):
        veeqo_alloc_target.post(7, BODY)
    veeqo_alloc_target.post(7, BODY)
"""
    given = options(server, "--veeqo-alloc-max-writes=4", "--veeqo-alloc-cleanup", "--veeqo-alloc-journal=j.jsonl")
    result = run(suite, tests, *given)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([
        "veeqo-alloc: 2 of 4 writes to 127.0.0.1:*, journal */j.jsonl",
        "veeqo-alloc: order 7: deleted allocation 5001",
    ])  # fmt: skip
    assert server.orders[7] == []


def test_unknown_write_is_reported_at_the_end(suite: pytest.Pytester, server: Staging) -> None:
    server.answers = ["die"]
    tests = """
def test_it(veeqo_alloc_target):
    veeqo_alloc_target.post(7, BODY)
"""
    result = run(suite, tests, *options(server, "--veeqo-alloc-max-writes=4"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "E       *SendError: POST to 127.0.0.1:* got no response: connection broken*UNKNOWN*",
        "veeqo-alloc: UNKNOWN outcome of writes to order 7: run veeqo-alloc cleanup to find out",
    ])  # fmt: skip


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_file_that_is_no_journal_stops_every_write(
    suite: pytest.Pytester, server: Staging, processes: tuple[str, ...]
) -> None:
    journal = journal_of(suite, server)
    journal.write_text('{"journal": "veeqo-al', encoding="utf-8")
    result = run(suite, MANY, *options(server, "--veeqo-alloc-max-writes=4"), *processes)
    result.assert_outcomes(errors=13)
    result.stdout.fnmatch_lines(
        ["  - */veeqo-alloc-journal-127.0.0.1-*.jsonl is not a journal of veeqo-alloc, or its first line is damaged: *"]
    )
    assert server.seen == []
    assert journal.read_text(encoding="utf-8") == '{"journal": "veeqo-al'


RECORD = """
CLIENT = os.environ["SERVER_URL"]
KEY = {"x-api-key": os.environ.get("VEEQO_ALLOC_API_KEY", "any")}

@pytest.mark.veeqo_alloc_cassette("mine")
def test_it():
    answer = requests.post(CLIENT + "/orders/7/allocations", json=BODY, headers=KEY, timeout=5)
    assert answer.status_code == 201
    assert answer.json()["customer"]["email"].EMAIL
"""


@pytest.fixture
def recording(suite: pytest.Pytester, server: Staging, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("SERVER_URL", server.url)
    return suite


def recorded(email: str = "endswith('example.com')", quantity: int = 1) -> str:
    return RECORD.replace("EMAIL", email).replace("json=BODY", f"json={pool_request(quantity)}")


def cassette(suite: pytest.Pytester) -> Path:
    return suite.path / "tests" / "cassettes" / "mine.yaml"


def test_recording_plays_without_key_and_network(
    recording: pytest.Pytester, server: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(server, "--veeqo-alloc-max-writes=4", "--veeqo-alloc-record-mode=once")
    run(recording, recorded("startswith('customer')"), *given).assert_outcomes(passed=1)
    assert len(server.posts) == 1
    document = yaml.safe_load(cassette(recording).read_text(encoding="utf-8"))
    assert document["veeqo_alloc"]["host"] == "loopback"
    assert set(document["veeqo_alloc"]) == {"recorded_on", "host", "package"}
    body = json.loads(document["interactions"][0]["response"]["body"]["string"])
    assert body["customer"]["email"].startswith("redacted-")
    (entry,) = read_journal(journal_of(recording, server)).entries
    assert (entry.outcome, entry.made) == (201, (5001,))
    monkeypatch.delenv("VEEQO_ALLOC_API_KEY")
    run(recording, recorded(), *STRICTLY).assert_outcomes(passed=1)
    # Once recorded, `once` plays, and needs no permission.
    run(recording, recorded(), *STRICTLY, "--veeqo-alloc-record-mode=once").assert_outcomes(passed=1)
    assert len(server.posts) == 1


def test_recording_without_permission_sends_nothing(recording: pytest.Pytester, server: Staging) -> None:
    result = run(recording, recorded(), *STRICTLY, "--veeqo-alloc-record-mode=once")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        ">       answer = requests.post(*",
        "E       *NotPermittedError: name the server: --veeqo-alloc-base-url https://staging.example.com",
        "E       limit the number of writes: --veeqo-alloc-max-writes N, with N above 0",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*site-packages*")
    assert server.seen == []
    assert not cassette(recording).exists()


def test_failed_test_keeps_the_old_cassette(recording: pytest.Pytester, server: Staging) -> None:
    cassette(recording).parent.mkdir(parents=True)
    cassette(recording).write_text("the old one", encoding="utf-8")
    given = options(server, "--veeqo-alloc-max-writes=4", "--veeqo-alloc-record-mode=all")
    run(recording, recorded("startswith('another')"), *given).assert_outcomes(failed=1)
    assert cassette(recording).read_text(encoding="utf-8") == "the old one"
    run(recording, recorded("startswith('customer')"), *given).assert_outcomes(passed=1)
    assert cassette(recording).read_text(encoding="utf-8").startswith("# Recorded by pytest-veeqo-alloc and redacted")


def test_contract_violation_is_not_recorded(recording: pytest.Pytester, server: Staging) -> None:
    server.order = lambda order_id: json.dumps({"id": order_id, "customer": {"email": "customer"}}).encode()  # type: ignore[method-assign]
    given = options(server, "--veeqo-alloc-max-writes=4", "--veeqo-alloc-record-mode=once")
    result = run(recording, recorded("startswith('customer')"), *given)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*absent-field*"])
    assert not cassette(recording).exists()


def test_new_episodes_are_added_to_the_cassette(recording: pytest.Pytester, server: Staging) -> None:
    given = options(server, "--veeqo-alloc-max-writes=4")
    run(recording, recorded("startswith('customer')"), *given, "--veeqo-alloc-record-mode=once").assert_outcomes(
        passed=1
    )
    more = (*given, "--veeqo-alloc-record-mode=new_episodes")
    run(recording, recorded("startswith('customer')", quantity=2), *more).assert_outcomes(passed=1)
    document = yaml.safe_load(cassette(recording).read_text(encoding="utf-8"))
    quantities = [
        json.loads(interaction["request"]["body"])["allocation"]["line_items_attributes"][0]["quantity"]
        for interaction in document["interactions"]
    ]
    assert quantities == [1, 2]
    assert len(server.posts) == 2


def test_other_calls_and_orders_are_refused_while_recording(recording: pytest.Pytester, server: Staging) -> None:
    tests = recorded() + """
@pytest.mark.veeqo_alloc_cassette("other")
@pytest.mark.parametrize("call", [("PUT", "/orders/7"), ("POST", "/orders/8/allocations"), ("DELETE", "/orders/7/allocations/1")])
def test_refused(call):
    requests.request(call[0], CLIENT + call[1], json=BODY, headers=KEY, timeout=5)

@pytest.mark.veeqo_alloc_cassette("other")
def test_retried():
    from requests.adapters import HTTPAdapter, Retry
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(3, allowed_methods=None, backoff_factor=0)))
    with pytest.raises(requests.ConnectionError):
        session.post(CLIENT + "/orders/7/allocations", json=BODY, headers=KEY, timeout=5)
"""  # fmt: skip
    server.answers = ["die"] * 5
    given = options(server, "--veeqo-alloc-max-writes=4", "--veeqo-alloc-record-mode=once")
    result = run(recording, tests, *given, "-k", "refused or retried")
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines([
        "E *RefusedError: only POST /orders/{order_id}/allocations may be sent: *",
        "E *RefusedError: order 8 is not in the order pool; *",
    ])  # fmt: skip
    # Each try of the client was admitted by itself, and the budget held.
    assert len(server.posts) == 4
    assert len(read_journal(journal_of(recording, server)).entries) == 4


def test_threads_without_a_shared_session_send_nothing_unadmitted(recording: pytest.Pytester, server: Staging) -> None:
    tests = recorded() + """
@pytest.mark.veeqo_alloc_cassette("threads")
def test_threads():
    from concurrent.futures import ThreadPoolExecutor
    def one(number):
        try:
            return requests.post(CLIENT + "/orders/7/allocations", json=BODY, headers=KEY, timeout=5).status_code
        except Exception as error:
            return type(error).__name__
    with ThreadPoolExecutor(8) as pool:
        print(list(pool.map(one, range(16))))
"""  # fmt: skip
    given = options(server, "--veeqo-alloc-max-writes=3", "--veeqo-alloc-record-mode=once")
    run(recording, tests, *given, "-k", "threads")
    assert len(server.posts) <= 3
    assert len(server.posts) <= len(read_journal(journal_of(recording, server)).entries) <= 3


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            "--veeqo-alloc-max-writes=many",
            "ERROR: veeqo-alloc: --veeqo-alloc-max-writes must be a whole number, not 'many'",
        ),
        (
            "--veeqo-alloc-rate=fast",
            "ERROR: veeqo-alloc: --veeqo-alloc-rate must be a number of requests above 0, not 'fast'",
        ),
    ],
)
def test_non_numeric_option_is_a_usage_error(
    option: str, sentence: str, suite: pytest.Pytester, server: Staging
) -> None:
    result = run(suite, MANY, *options(server, option))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([sentence])


def test_key_in_the_base_url_is_not_shown(suite: pytest.Pytester) -> None:
    url = f"https://joe:{KEY}@staging.example.com:8443/{KEY}?key={KEY}#{KEY}"
    result = run(suite, MANY, *STRICTLY, f"--veeqo-alloc-base-url={url}", "-k", "test_pool")
    result.stdout.fnmatch_lines(["veeqo-alloc: profile documented, target https://staging.example.com:8443"])


HIDDEN = """
class ShopError(Exception):
    pass

def raising(error):
    def method(*args, **kwargs):
        raise error
    return method

@pytest.fixture(params=["plain", "with a context"])
def late(request, monkeypatch):
    error = ArithmeticError("late")  # as of pytest-timeout: not of the network
    is_handling = request.param == "with a context"
    monkeypatch.setattr("http.client.HTTPConnection.getresponse", raising(OSError() if is_handling else error))
    monkeypatch.setattr("urllib3.util.retry.Retry.increment", raising(error))

@pytest.fixture
def written(veeqo_alloc_target, late):
    veeqo_alloc_target.post(7, BODY)

def test_late(veeqo_alloc_target, late):
    veeqo_alloc_target.post(7, BODY)

def test_late_in_setup(written):
    pass

@pytest.mark.parametrize("how", ["cause", "context", "group", "raises"])
@pytest.mark.parametrize("order_id", [7, 99])
def test_wrapped(veeqo_alloc_target, late, how, order_id):
    try:
        veeqo_alloc_target.post(order_id, BODY)
    except Exception as error:
        if how == "cause":
            raise ShopError("wrapped") from error
        if how == "group":
            raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("inner", [error])])
        raise ShopError("wrapped")
"""


def test_no_traceback_shows_the_key(suite: pytest.Pytester, server: Staging) -> None:
    given = options(server, "--veeqo-alloc-max-writes=40", "--veeqo-alloc-rate=5")
    for more in (["--tb=long", "-l", "--junitxml=out.xml"], ["--full-trace", "-l", "-k", "test_late and plain"]):
        result = run(suite, HIDDEN, *given, *more)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines([
            ">*veeqo_alloc_target.post(7, BODY)",
            "E *ArithmeticError: late",
            "E *veeqo-alloc: frames that could show an API key are not shown; raised at test_it.py, line *",
        ])  # fmt: skip


def test_ctrl_c_shows_no_key(suite: pytest.Pytester, server: Staging) -> None:
    given = options(server, "--veeqo-alloc-max-writes=4", "--full-trace", "-l", "-k", "test_late and plain")
    result = run(suite, HIDDEN.replace("ArithmeticError", "KeyboardInterrupt"), *given)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt: late*"])


SHARD = """
def test_it(veeqo_alloc_target, veeqo_alloc_orders, veeqo_alloc_contract):
    (order,) = veeqo_alloc_orders
    veeqo_alloc_contract.validate(veeqo_alloc_target.post(order.id, BODY))
"""


def test_reports_of_two_machines_are_merged(suite: pytest.Pytester, server: Staging) -> None:
    for number in (1, 2):
        (suite.path / f"pool-{number}.toml").write_text(POOL.replace("7", str(number)), encoding="utf-8")
        given = [option for option in options(server) if not option.startswith("--veeqo-alloc-orders")]
        run(
            suite, SHARD, *given, f"--veeqo-alloc-orders=pool-{number}.toml", "--veeqo-alloc-max-writes=1",
            "--veeqo-alloc-rate=2.5", f"--veeqo-alloc-report=report-{number}.json", f"--veeqo-alloc-journal={number}.jsonl",
        ).assert_outcomes(passed=1)  # fmt: skip
    reports = [str(suite.path / f"report-{number}.json") for number in (1, 2)]
    assert main(["report", "merge", *reports, reports[0], "-o", str(suite.path / "report.json")]) == 0
    assert main(["report", "merge", *reports, "-o", str(suite.path / "report.html")]) == 0
    totals = totals_by_origin(load(str(suite.path / "report.json")))["target"]
    assert (totals.interactions, totals.fields_seen, len(server.posts)) == (2, 475, 2)
