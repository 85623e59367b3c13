"""`veeqo-alloc serve` as a process, with clients in Python, curl and Node."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from support.bodies import BARE, BODY, allocation_request
from support.fake import PATH
from support.served import Process, served
from support.servers import ORDER, Allocating, serving

from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.server.fake import API_KEY

HEADERS = {"x-api-key": API_KEY}
CONTROL = "/__veeqo_alloc__/"


def post(url: str, body: Any = BODY, path: str = PATH) -> requests.Response:
    return requests.post(url + path, json=body, headers=HEADERS, timeout=5)


def test_clean_run_prints_a_line_for_each_request_and_exits_0(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        assert post(process.url).status_code == 201
        assert process.line() == "POST /orders/447452/allocations 201"
        assert process.stop() == 0
        assert process.out == "requests: 1, errors: 0, warnings: 0\n"
        assert process.err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_with_an_error_exits_1_and_prints_the_failure(tmp_path: Path, number: int) -> None:
    with served(tmp_path) as process:
        assert post(process.url, BARE).status_code == 422
        assert (
            process.line() == "POST /orders/447452/allocations 422 error: request-not-wrapped at request (whole body)"
        )
        assert process.stop(number) == 1
        assert process.out.splitlines()[:2] == [
            "requests: 1, errors: 1, warnings: 0",
            "request of POST /orders/{order_id}/allocations: 1 error (profile documented)",
        ]
        assert API_KEY not in process.out + process.err


def test_curl_request_is_checked(tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    with served(tmp_path) as process:
        command = [curl, "-sS", "-o", str(tmp_path / "out.json"), "-w", "%{http_code}", "-H", f"x-api-key: {API_KEY}",
                   "-H", "content-type: application/json", "-d", json.dumps(BODY), process.url + PATH]  # fmt: skip
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "201"
        assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["id"] == 447452
        assert process.stop() == 0


NODE = """
const [url, key] = process.argv.slice(2);
const allocation = {warehouse_id: 1784, line_items_attributes: [{sellable_id: 1226615, quantity: 1}]};
const headers = {"x-api-key": key, "content-type": "application/json"};
const fault = await fetch(url + "/__veeqo_alloc__/faults", {method: "POST", headers, body: '{"name": "unprocessable"}'});
const answers = [];
for (const body of [{allocation}, {allocation}, allocation]) {
  const answer = await fetch(url + "/orders/447452/allocations", {method: "POST", headers, body: JSON.stringify(body)});
  answers.push(answer.status);
}
const found = await (await fetch(url + "/__veeqo_alloc__/findings")).json();
console.log(JSON.stringify([fault.status, answers, found.ok, found.findings.map(each => [each.rule, each.request])]));
"""


def test_node_request_is_checked_and_injects_a_fault(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    (tmp_path / "client.mjs").write_text(NODE, encoding="utf-8")
    with served(tmp_path) as process:
        command = [node, str(tmp_path / "client.mjs"), process.url, API_KEY]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        assert json.loads(done.stdout) == [200, [422, 201, 422], False, [["request-not-wrapped", 3]]]
        assert process.stop() == 1


def test_control_api_lists_redacted_interactions_and_resets(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        requests.post(
            process.url + PATH,
            params={"who": "customer@example.com"},
            json=allocation_request(),
            headers=HEADERS,
            timeout=5,
        )
        listed = requests.get(process.url + CONTROL + "interactions", timeout=5)
        (interaction,) = listed.json()["interactions"]
        assert (interaction["number"], interaction["source"], interaction["response"]["status"]) == (
            1,
            "request 1 of the fake",
            201,
        )
        assert "customer@example.com" not in listed.text
        assert API_KEY not in listed.text
        assert requests.get(process.url + CONTROL + "findings", timeout=5).json()["checked"] == 1
        assert control(process.url, "reset").json() == {"ok": True}
        assert requests.get(process.url + CONTROL + "findings", timeout=5).json() == {
            "ok": True, "checked": 0, "findings": [], "complaints": [],
        }  # fmt: skip
        assert process.stop() == 0


def control(url: str, path: str, /, **arguments: Any) -> requests.Response:
    return requests.post(url + CONTROL + path, json=arguments, timeout=5)


def test_control_api_sets_faults_responses_and_expectations(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        assert control(process.url, "faults", name="rate-limited", retry_after=3).ok
        assert control(process.url, "responses", status=418, body={"a": 1}).ok
        assert control(process.url, "expect", rule="request-not-wrapped").ok
        assert post(process.url).headers["retry-after"] == "3"
        assert process.line() == "POST /orders/447452/allocations 429 (rate-limited)"
        assert post(process.url).status_code == 418
        post(process.url, BARE)
        assert process.stop() == 0


def test_unmet_expectation_is_reported(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        control(process.url, "expect", rule="null-value")
        assert not requests.get(process.url + CONTROL + "findings", timeout=5).json()["ok"]
        assert process.stop() == 1
        assert "no finding of null-value" in process.out


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with served(tmp_path_factory.mktemp("shared")) as process:
        yield process
        assert process.stop() == 0


@pytest.mark.parametrize(("method", "name", "body", "content_type", "status", "words"), [
    ("POST", "faults", '{"name": "gzipp"}', "application/json", 400, "did you mean 'gzip'"),
    ("POST", "faults", "{}", "application/json", 400, "POST faults takes name, times"),
    ("POST", "faults", "[]", "application/json", 400, "the body must be an object"),
    ("POST", "faults", "{", "application/json", 400, "the body is not JSON"),
    ("POST", "faults", '{"name": "gzip"}', "text/plain", 400, "send content-type: application/json"),
    ("POST", "world", "{}", "application/json", 404, "GET findings, GET interactions, GET health, POST reset, POST faults"),
    ("DELETE", "findings", "", "application/json", 404, "GET findings"),
    ("POST", "reset", "{}", "text/plain", 400, "send content-type: application/json"),
])  # fmt: skip
def test_control_api_rejects_an_invalid_request(
    shared: Process, method: str, name: str, body: str, content_type: str, status: int, words: str
) -> None:
    sent = {"content-type": content_type}
    answer = requests.request(method, shared.url + CONTROL + name, data=body, headers=sent, timeout=5)
    assert answer.status_code == status
    assert words in answer.json()["error_messages"]


def test_reset_needs_no_body_and_is_refused_to_a_browser(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        post(process.url, BARE)
        assert (
            requests.post(
                process.url + CONTROL + "reset", headers={"Origin": "http://x.example.com"}, timeout=5
            ).status_code
            == 400
        )
        assert requests.post(process.url + CONTROL + "reset", timeout=5).status_code == 200
        assert process.stop() == 0


def test_orders_of_a_file_exist_in_the_fake(tmp_path: Path) -> None:
    (tmp_path / "pool.toml").write_text(
        "[[order]]\nid = 7\nwarehouse_id = 5\nsellables = { 11 = 2 }\n", encoding="utf-8"
    )
    with served(tmp_path, "--policy", "strict", "--orders", "pool.toml", "--profile", "strict") as process:
        assert post(process.url).status_code == 404
        ask = allocation_request(2, sellable_id=11, warehouse_id=5)
        assert post(process.url, ask, "/orders/7/allocations").status_code == 201
        assert post(process.url, ask, "/orders/7/allocations").status_code == 422
        assert process.stop() == 0


def test_stubs_of_a_file_and_of_the_control_api_answer_other_calls(tmp_path: Path) -> None:
    text = """
    [[stub]]
    method = "GET"
    path = "/warehouses"
    json = [{ id = 1784, name = "London" }]
    headers = { X-Total-Count = "1" }

    [[stub]]
    method = "PUT"
    path = "/allocations/{id}/allocation_package"
    body = '{"weight": null}'
    status = 201
    times = 1
    """
    (tmp_path / "stubs.toml").write_text(text, encoding="utf-8")
    with served(tmp_path, "--stubs", "stubs.toml") as process:
        assert control(process.url, "stubs", method="GET", path="/shipping/rates/{id}", json=[]).ok
        answer = requests.get(process.url + "/warehouses", timeout=5)
        assert (answer.json(), answer.headers["x-total-count"]) == ([{"id": 1784, "name": "London"}], "1")
        assert process.line() == "GET /warehouses 200 (stub)"
        assert requests.get(process.url + "/shipping/rates/323498", timeout=5).json() == []
        assert process.line() == "GET /shipping/rates/* 200 (stub)"
        for _ in range(2):
            answer = requests.put(process.url + "/allocations/323498/allocation_package", timeout=5)
            assert (answer.status_code, answer.json()) == (201, {"weight": None})
            assert process.line() == "PUT /allocations/*/allocation_package 201 (stub)"
            assert control(process.url, "reset").ok  # keeps the stubs of the file
        assert requests.get(process.url + "/shipping/rates/323498", timeout=5).status_code == 404
        assert process.stop() == 1
        assert "no request matched the stub PUT /allocations/{id}/allocation_package" in process.out


def test_path_of_another_call_is_printed_with_unknown_segments_masked(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        post(process.url, path="/S3cret/orders/s3cret/allocations?token=s3cret")
        assert process.line().startswith("POST /*/orders/*/allocations 404 error: ")
        requests.get(f"{process.url}/allocations/S3cret/shipments?token=s3cret", timeout=5)
        assert process.line() == "GET /allocations/*/shipments 404"
        post(process.url, path="/S3cret/orders/7/allocations")
        assert process.line().startswith("POST /orders/7/allocations 201")
        assert process.stop() == 1
        assert "s3cret" not in process.out.lower()
        assert "GET /allocations/*/shipments" in process.out


def test_request_for_another_host_is_refused(tmp_path: Path) -> None:
    with served(tmp_path, "--name", "veeqo.example.com") as process:
        for host, status in (("veeqo.example.com", 201), ("rebound.example.com", 421)):
            answer = requests.post(process.url + PATH, json=BODY, headers={**HEADERS, "Host": host}, timeout=5)
            assert answer.status_code == status
        assert (
            requests.get(
                process.url + CONTROL + "findings", headers={"Host": "rebound.example.com"}, timeout=5
            ).status_code
            == 421
        )


def test_address_outside_the_loopback_warns(tmp_path: Path) -> None:
    with served(tmp_path, "--host", "0.0.0.0") as process:
        assert process.url.startswith("http://127.0.0.1:")
        assert process.stop() == 0
        assert process.err == (
            "veeqo-alloc: warning: 0.0.0.0 is not a loopback address: anyone who can reach this machine can use the server\n"
        )


def test_output_that_is_not_read_blocks_no_request(tmp_path: Path) -> None:
    with served(tmp_path) as process, requests.Session() as session:
        for _ in range(3000):
            assert session.get(process.url + "/" + "orders/" * 20, timeout=5).status_code == 404
        started = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.wait() == 0
        assert time.monotonic() - started < 3
        process.stop()
        assert "requests: 3000, errors: 0, warnings: 3000\n" in process.err
        assert "lines dropped because the output was not read: " in process.err


def test_reader_of_the_output_that_has_gone_stops_no_request(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        process.close_output()
        for _ in range(20):
            assert post(process.url).status_code == 201
        process.send(signal.SIGTERM)
        assert process.wait() == 0


def test_upstream_that_does_not_answer_does_not_delay_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        host = f"127.0.0.1:{upstream.getsockname()[1]}"
        options = ("--upstream", f"http://{host}", "--allow-host", host, "--max-writes", "5", "--orders", "any")
        with served(tmp_path, *options) as process, socket.create_connection(address_of(process)) as client:
            client.sendall(raw(process))
            forwarded, _ = upstream.accept()
            with forwarded:
                assert forwarded.recv(4) == b"POST"
                started = time.monotonic()
                process.stop()
                assert time.monotonic() - started < 3
            assert process.out.startswith("requests: 1, ")


def address_of(process: Process) -> tuple[str, int]:
    address = urlsplit(process.url)
    return str(address.hostname), int(address.port or 0)


def raw(process: Process) -> bytes:
    body = json.dumps(BODY)
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {API_KEY}\r\nContent-Type: application/json"
    return f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


# Reports


def reported(folder: Path, order: bytes) -> Path:
    """Return the report of a proxy in front of a server that responds with *order*."""

    class Upstream(Allocating):
        def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.answer(201, order)

    with serving(Upstream) as upstream:
        host = upstream.removeprefix("http://")
        limits = ("--allow-host", host, "--max-writes", "5", "--orders", "any", "--rate", "1000")
        with served(folder, "--upstream", upstream, *limits, "--report", "out.json", "--report", "out.html") as proxy:
            assert post(proxy.url).status_code == 201
            proxy.stop()
            assert proxy.err == ""
    assert "Contract report" in (folder / "out.html").read_text(encoding="utf-8")
    return folder / "out.json"


def test_drift_of_an_upstream_is_the_difference_of_two_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = json.loads(ORDER)
    order["customer"]["colour"] = "red"
    del order["deliver_to"]["zip"]
    order["deliver_to"]["phone"] = None
    order["channel"]["id"] = "7"
    order["due_date"] = "x"
    (tmp_path / "clean").mkdir()
    clean, drifted = reported(tmp_path / "clean", ORDER), reported(tmp_path, json.dumps(order).encode())
    assert main(["report", "diff", str(clean), str(drifted)]) == 1
    *lines, count = capsys.readouterr().out.splitlines()
    assert count == "5 new drifts, 0 gone"
    assert set(lines) == {
        "new: response /customer/colour: undocumented (string), from the target",
        "new: response /deliver_to/zip: never seen, from the target",
        "new: response /deliver_to/phone: null, from the target",
        "new: response /channel/id: wrong type (string), from the target",
        "new: response /due_date: undocumented type (string), from the target",
    }
    assert main(["report", "diff", str(clean), str(clean)]) == 0


def test_report_of_a_fake_has_the_origin_fake(tmp_path: Path) -> None:
    with served(tmp_path, "--report", "out.json") as process:
        post(process.url, BARE)
        requests.post(process.url + f"{CONTROL}reset", headers=HEADERS, timeout=5)
        post(process.url)
        assert process.stop() == 0
    ((origin, counts),) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["runs"][0]["origins"].items()
    assert (origin, counts["interactions"]) == ("fake", 2)
    assert [row["rule"] for row in counts["findings"]] == ["request-not-wrapped"]


def test_unwritable_report_does_not_hide_findings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for body, status in ((BODY, 2), (BARE, 1)):
        with served(tmp_path, "--report", "file/out.json") as process:
            post(process.url, body)
            assert process.stop() == status
            assert "the report 'file/out.json' cannot be written" in process.err


# A command for which the server runs

CLIENT = """
import json, os, sys, urllib.error, urllib.request
url = os.environ["VEEQO_ALLOC_URL"] + "/orders/447452/allocations"
headers = {"x-api-key": os.environ["VEEQO_ALLOC_API_KEY"], "content-type": "application/json"}
allocation = {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}
body = allocation if "bare" in sys.argv else {"allocation": allocation}
try:
    print(urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).status)
except urllib.error.HTTPError as error:
    print(error.code)
    error.close()
"""


@contextmanager
def start(folder: Path, *command: str, options: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """Run *command* with a fake. Kill `serve` if it has not ended at the end of the block."""
    environment = {
        **os.environ,
        "PYTHONWARNINGS": "error",
        "PYTHONUNBUFFERED": "1",
        "VEEQO_ALLOC_API_KEY": "the key outside",
    }
    full = [sys.executable, "-m", "pytest_veeqo_alloc", "serve", *options, "--", *command]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        full, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=folder, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(folder: Path, *command: str, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run *command* with a fake. Return the exit status, the output and the error output."""
    with start(folder, *command, options=options) as process:
        out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return sys.executable, "-c", code, *arguments


def test_command_gets_url_and_key_and_its_output_is_not_mixed_up(tmp_path: Path) -> None:
    assert run(tmp_path, *python(CLIENT)) == (0, "201\n", "requests: 1, errors: 0, warnings: 0\n")


def test_errors_of_the_requests_fail_a_command_that_succeeds(tmp_path: Path) -> None:
    status, out, err = run(tmp_path, *python(CLIENT, "bare"))
    assert (status, out) == (1, "422\n")
    assert err.startswith(
        "requests: 1, errors: 1, warnings: 0\nrequest of POST /orders/{order_id}/allocations: 1 error"
    )


@pytest.mark.parametrize("code", [3, 0])
def test_status_of_the_command_is_kept(tmp_path: Path, code: int) -> None:
    status, _, err = run(tmp_path, *python(f"{CLIENT}\nsys.exit({code})"))
    assert (status, err) == (code, "requests: 1, errors: 0, warnings: 0\n")


def test_status_of_a_failed_command_takes_precedence_over_errors(tmp_path: Path) -> None:
    assert run(tmp_path, *python(f"{CLIENT}\nsys.exit(3)", "bare"))[0] == 3


def test_command_that_sends_nothing_is_told_where_the_server_is(tmp_path: Path) -> None:
    assert run(tmp_path, *python("")) == (
        0,
        "",
        "requests: 0, errors: 0, warnings: 0\n"
        "the command sent no request: its client must use the URL in VEEQO_ALLOC_URL\n",
    )


def test_options_of_the_command_are_its_own(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1:])"
    shown = ["--port", "--", "--policy", "-h"]
    _, out, _ = run(tmp_path, *python(code, *shown), options=("--profile", "strict"))
    assert out == f"{shown}\n"


def test_command_reads_the_standard_input(tmp_path: Path) -> None:
    with start(tmp_path, *python("print(input())")) as process:
        assert process.communicate("a line\n", timeout=30)[0] == "a line\n"


def test_command_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("", encoding="utf-8")
    (tmp_path / "script").write_bytes(b"\x7fELF no program")
    (tmp_path / "script").chmod(0o700)
    words = {"no-such-command": "does not exist, or may not be executed", "./data": "does not exist, or may not be executed",
             "./script": "cannot be run: Exec format error"}  # fmt: skip
    for command, problem in words.items():
        assert run(tmp_path, command) == (2, "", f"veeqo-alloc: the command '{command}' {problem}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_is_passed_on_to_the_command(tmp_path: Path, number: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("this run ignores the signal, as nohup does, and serve inherits that")
    code = f"""
import signal, sys
signal.signal({int(number)}, lambda *_: sys.exit(7))
print("ready", flush=True)
signal.pause()
"""
    with start(tmp_path, *python(code)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == 7


def test_signal_that_ends_the_command_is_in_the_status(tmp_path: Path) -> None:
    assert run(tmp_path, *python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))[0] == 128 + 9


def test_process_group_of_the_command_is_ended(tmp_path: Path) -> None:
    child = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
    code = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid)
"""
    status, out, _ = run(tmp_path, *python(code))
    assert status == 0
    try:
        state = Path(f"/proc/{int(out)}/stat").read_text(encoding="utf-8")
    except OSError:
        return  # it has ended and was reaped
    assert " Z " in state


def test_command_behind_a_proxy_keeps_its_own_key(tmp_path: Path) -> None:
    with serving(Allocating) as upstream:
        host = upstream.removeprefix("http://")
        limits = (
            "--upstream",
            upstream,
            "--allow-host",
            host,
            "--max-writes",
            "5",
            "--orders",
            "any",
            "--rate",
            "1000",
        )
        code = f"{CLIENT}\nprint(os.environ['VEEQO_ALLOC_API_KEY'])"
        assert run(tmp_path, *python(code), options=limits)[:2] == (0, "201\nthe key outside\n")


def test_refused_call_is_printed_and_exits_1(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        assert requests.get(process.url, headers={"Host": "shop"}, timeout=5).status_code == 421
        assert process.line().endswith("give --name shop, or names=('shop',) in ServerSettings")
        assert requests.post(process.url + PATH, headers={**HEADERS, "Host": "shop"}, timeout=5).status_code == 421
        assert process.line().startswith("a request was refused with 421 and is not in the log")
        address = urlsplit(process.url)
        socket.create_connection((address.hostname, address.port)).close()
        assert process.line() == "an empty connection"
        assert process.stop() == 1
        assert process.out.splitlines()[0] == "requests: 0, refused: 2, errors: 0, warnings: 0"
        assert len(process.out.splitlines()) == 2
