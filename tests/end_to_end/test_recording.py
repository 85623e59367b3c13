"""Recording over the loopback, with each client: admitted once, redacted before the disk, and played by every client."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import importlib
import json
import re
import shutil
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests
import yaml
from support import canaries
from support.cassettes import created, no_live, write
from support.clients import CLIENTS, HEADERS, NO_CERTIFICATES, parsed
from support.hostile import CHUNKED, ENDLESS, answering_with, drip
from support.live import live_at, pool_request
from support.servers import ORDER, Allocating, redirecting, serving
from support.staging import Staging, staging

from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import RefusedError
from pytest_veeqo_alloc.live.client import LiveClient, open_live
from pytest_veeqo_alloc.live.journal import read_journal
from pytest_veeqo_alloc.live.permission import WriteOptions, grant_permission, options_for_own_server
from pytest_veeqo_alloc.recording import CassetteError, CassetteFile
from pytest_veeqo_alloc.recording.network_guard import NetworkBlockedError
from pytest_veeqo_alloc.recording.session import Cassettes, kind_of_host, write_cassette
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.runner import running

TODAY = datetime.date(2026, 11, 25)


@contextmanager
def recorder(url: str, folder: Path, *, mode: str = "once", writes: int = 9) -> Iterator[tuple[Cassettes, LiveClient]]:
    """Cassettes that record, with the key that the supported clients send."""
    with live_at(url, folder / "live", writes=writes, rate=1000, orders="any", key=HEADERS["x-api-key"]) as live:
        yield Cassettes(Engine(), folder, mode, lambda: live), live


@pytest.mark.parametrize("client", CLIENTS)
def test_recording_of_each_client_plays_for_every_client(client: str, server: Staging, tmp_path: Path) -> None:
    url = f"{server.url}/orders/7/allocations"
    with recorder(server.url, tmp_path) as (cassettes, live):
        with cassettes.use("mine") as player:
            first = CLIENTS[client](url, pool_request())
            CLIENTS[client](f"{server.url}/orders/8/allocations", pool_request(2))
        assert first[0] == 201
        assert (len(player.recorded), player.play_count, len(player.interactions)) == (2, 0, 2)
        assert cassettes.findings.ok
        cassettes.save(TODAY)
        assert live.run_state.charged == 2
    assert [entry.outcome for entry in read_journal(tmp_path / "live" / "journal.jsonl").entries] == [201, 201]
    assert [json.loads(sent) for _, _, _, sent, _ in server.posts] == [pool_request(), pool_request(2)]
    for other in CLIENTS.values():
        replay = Cassettes(Engine(), tmp_path, "none", no_live)
        with replay.use("mine", strict_play=True):
            assert parsed(other(url, pool_request()))["id"] == parsed(first)["id"]
            assert other(f"{server.url}/orders/8/allocations", pool_request(2))[0] == 201
        assert replay.findings.ok
        assert replay.problems == []
    assert len(server.posts) == 2


@pytest.mark.parametrize("client", CLIENTS)
def test_server_of_ones_own_is_recorded_with_its_url_alone(client: str, server: Staging, tmp_path: Path) -> None:
    permission = grant_permission(options_for_own_server(WriteOptions(server.url), HEADERS["x-api-key"]))
    with open_live(permission, tmp_path / "own.jsonl") as live:
        cassettes = Cassettes(Engine(), tmp_path, "once", lambda: live)
        with cassettes.use("own"):
            assert CLIENTS[client](f"{server.url}/orders/7/allocations", pool_request())[0] == 201
        cassettes.save(TODAY)
    assert (tmp_path / "own.yaml").exists()
    assert len(server.posts) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_recorded_response_without_end_is_cut_off(client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_veeqo_alloc.recording.player.MAX_BYTES", 1_000_000)
    stopped = threading.Event()
    for name, answer in (("endless", ENDLESS["chunks"]), ("slow", drip(CHUNKED + b"10000\r\n", stopped))):
        with answering_with(answer) as url, recorder(url, tmp_path / name) as (cassettes, live):
            live.timeouts = (5, 5 if name == "endless" else 0.1)
            with cassettes.use("mine") as player, pytest.raises(Exception):  # noqa: B017, PT011  # each client raises its own
                CLIENTS[client](f"{url}/orders/7/allocations", pool_request())
            assert len(cassettes.problems) == 1
            assert "did not end its response within" in cassettes.problems[0]
            assert player.recorded == []
            assert [entry.is_unknown for entry in read_journal(tmp_path / name / "live" / "journal.jsonl").entries] == [
                True
            ]
    stopped.set()


def test_client_gets_the_unredacted_answer_while_recording(server: Staging, tmp_path: Path) -> None:
    with recorder(server.url, tmp_path) as (cassettes, _):
        with cassettes.use("mine"):
            answer = CLIENTS["requests"](f"{server.url}/orders/7/allocations", pool_request())
        cassettes.save(TODAY)
    assert parsed(answer)["customer"]["email"] == "customer@example.com"
    assert "customer@example.com" not in (tmp_path / "mine.yaml").read_text(encoding="utf-8")


try:
    BROTLI: Any = importlib.import_module("brotli")
except ImportError:
    BROTLI = None


class Deflating:
    """A decoder with the interface of `brotli.Decompressor`."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self.process = self._zlib.decompress

    def is_finished(self) -> bool:
        return self._zlib.eof


class Compressing(Allocating):
    """Answers with a body in the coding br, or in what `Deflating` takes for it where brotli is not installed."""

    def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        answer = packer.compress(ORDER) + packer.flush() if BROTLI is None else BROTLI.compress(ORDER)
        self.send_response(201)
        for name, value in (("Content-Type", "application/json"), ("Content-Encoding", "br"), ("Location", "/orders/447452"),
                            ("Content-Length", str(len(answer)))):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)


@pytest.mark.parametrize("is_installed", [True, False])
def test_br_is_recorded_decompressed_or_named(
    is_installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = BROTLI or SimpleNamespace(Decompressor=Deflating)
    monkeypatch.setitem(sys.modules, "brotli", decoder if is_installed else None)
    monkeypatch.setitem(sys.modules, "brotlicffi", None)
    with serving(Compressing) as url, recorder(url, tmp_path) as (cassettes, _):
        with cassettes.use("mine"):
            httpx.post(f"{url}/orders/447452/allocations", json=pool_request(), headers=HEADERS, verify=NO_CERTIFICATES)
        if not is_installed:
            (finding,) = (found for found in cassettes.findings.errors if found.location == "body")
            assert finding.got.startswith("a body compressed with br")
            return
        assert not [found for found in cassettes.findings.errors if found.rule != "order-echo"]
        cassettes.save(TODAY)
    with Cassettes(Engine(), tmp_path, "none", no_live).use("mine") as player:
        (interaction,) = player.stored
    assert interaction.response is not None
    assert json.loads(interaction.response.body or b"")["id"] == 447452


class Leaking(Allocating):
    """Answers with secrets in its headers and in a compressed body."""

    def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        secrets = canaries.secrets()[40:]
        document = {f"member_{chr(97 + at)}": [{"deep": secret}, secret] for at, secret in enumerate(secrets)}
        answer = gzip.compress(json.dumps(document).encode())
        self.send_response(422)
        for name, value in (("Content-Type", "application/json;charset=utf-8"), ("Content-Encoding", "gzip"),
                            ("Content-Length", str(len(answer))), ("Set-Cookie", f"session={secrets[0]}"),
                            ("X-Owner", secrets[1]), ("ETag", secrets[2])):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)


@pytest.mark.parametrize("client", ["requests", "httpx", "urllib3", "aiohttp"])
def test_no_secret_of_a_recording_reaches_cassette_journal_or_log(
    client: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = canaries.secrets()[:40]
    sent: dict[str, Any] = pool_request()
    sent["allocation"]["note"] = secrets
    sent["allocation"]["nested"] = {f"name_{chr(97 + at % 26)}{at // 26}": secret for at, secret in enumerate(secrets)}
    with caplog.at_level("DEBUG"), serving(Leaking) as url, recorder(url, tmp_path) as (cassettes, _):
        with cassettes.use("mine") as player:
            CLIENTS[client](f"{url}/orders/7/allocations?email={secrets[2]}&token={secrets[1]}", sent)
        cassettes.save(TODAY)
    written = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    journal = (tmp_path / "live" / "journal.jsonl").read_text(encoding="utf-8")
    ours = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("urllib3", "http"))
    )
    out = "".join(capfd.readouterr())
    for text in (written, journal, ours, out, repr(player.interactions), str(cassettes.findings)):
        assert re.findall(r"(?i)canary\S*|corp\.io", text) == []
    assert HEADERS["x-api-key"] not in written + journal
    entry = yaml.safe_load(written)["interactions"][0]["response"]
    assert len(json.loads(entry["body"]["string"])) == 20
    assert "Content-Encoding" not in entry["headers"]


def test_failed_call_is_unknown_and_its_retry_is_admitted_again(server: Staging, tmp_path: Path) -> None:
    server.answers = ["die", "die"]
    url = f"{server.url}/orders/7/allocations"
    with recorder(server.url, tmp_path, writes=2) as (cassettes, live):
        with cassettes.use("mine"):
            for client in ("requests", "httpx"):
                with pytest.raises((requests.ConnectionError, httpx.RemoteProtocolError)):
                    CLIENTS[client](url, pool_request())
            with pytest.raises(RefusedError, match="the budget of 2 writes is spent"):
                CLIENTS["requests"](url, pool_request())
        assert live.run_state.charged == 2
    assert [entry.is_unknown for entry in read_journal(tmp_path / "live" / "journal.jsonl").entries] == [True, True]
    assert len(server.posts) == 2


def test_only_the_target_is_reached_while_recording(server: Staging, tmp_path: Path) -> None:
    with staging() as other, recorder(server.url, tmp_path) as (cassettes, _), cassettes.use("mine"):
        with pytest.raises(RefusedError, match="is not for a path below"):
            CLIENTS["httpx"](f"{other.url}/orders/7/allocations", pool_request())
        CLIENTS["requests"](f"{server.url}/orders/7/allocations", pool_request())
        with pytest.raises(NetworkBlockedError):
            __import__("socket").create_connection(("127.0.0.1", server.server_port))
        assert other.seen == []


def test_redirect_does_not_reach_another_server_while_recording(server: Staging, tmp_path: Path) -> None:
    for client in ("requests", "aiohttp"):
        with (
            serving(redirecting(f"{server.url}/orders/7/allocations")) as url,
            recorder(url, tmp_path / client) as (cassettes, _),
        ):
            with cassettes.use("mine"), pytest.raises((RefusedError, NetworkBlockedError)):
                CLIENTS[client](f"{url}/orders/7/allocations", pool_request())
            assert server.seen == []


def test_mode_all_replaces_the_cassette(server: Staging, tmp_path: Path) -> None:
    url = f"{server.url}/orders/7/allocations"
    for mode in ("once", "all"):
        shutil.rmtree(tmp_path / "live", ignore_errors=True)  # another run
        with recorder(server.url, tmp_path, mode=mode) as (cassettes, _):
            with cassettes.use("mine"):
                CLIENTS["requests"](url, pool_request())
            cassettes.save(TODAY)
    document = yaml.safe_load((tmp_path / "mine.yaml").read_text(encoding="utf-8"))
    assert len(document["interactions"]) == 1
    assert len(server.posts) == 2
    assert document["veeqo_alloc"]["recorded_on"] == "2026-11-25"


def test_recording_with_a_remaining_secret_is_not_written(tmp_path: Path) -> None:
    place = CassetteFile("mine", tmp_path / "mine.yaml")
    entry = created(host="https://a8f5f167f44f4964e6c998dee827110c.jane@corp.io".replace("@", "."))
    write_cassette(place, [entry], TODAY)
    assert place.path.exists()
    place.path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_veeqo_alloc.recording.session.redact", lambda interactions: interactions)
        leaking = created(body={"note": "jane@corp.io"})
        with pytest.raises(CassetteError, match="was not written: an e-mail address in the request remains at /note"):
            write_cassette(place, [leaking], TODAY)
    assert not place.path.exists()


def post(url: str, order_id: int = 7, quantity: int = 1) -> int:
    answer = requests.post(
        f"{url}/orders/{order_id}/allocations", json=pool_request(quantity), headers=HEADERS, timeout=5
    )
    return answer.status_code


@pytest.mark.parametrize("mode", ["once", "new_episodes", "all"])
def test_second_process_that_records_a_cassette_sends_nothing(mode: str, server: Staging, tmp_path: Path) -> None:
    with recorder(server.url, tmp_path, mode=mode) as (first, live):
        other = LiveClient(live.permission, live.writer)  # of another process of the run
        second = Cassettes(Engine(), tmp_path, mode, lambda: other)
        with first.use("mine"):
            assert post(server.url) == 201
        with second.use("mine"), pytest.raises(CassetteError, match="another process of this run records"):
            post(server.url)
        assert "another process of this run records the cassette 'mine'" in second.problems[0]
        first.save(TODAY)
    assert len(server.posts) == 1
    with Cassettes(Engine(), tmp_path, "none", no_live).use("mine", strict_play=True):
        assert post(server.url) == 201


@pytest.mark.parametrize("is_late", [False, True], ids=["before the write", "before the file is replaced"])
def test_cassette_that_another_run_has_changed_is_not_replaced(is_late: bool, server: Staging, tmp_path: Path) -> None:
    with recorder(server.url, tmp_path, mode="new_episodes") as (cassettes, _):
        with cassettes.use("mine"):
            if is_late:
                assert post(server.url) == 201
            path = write(tmp_path, "mine", created(5, host=server.url))
            if not is_late:
                with pytest.raises(CassetteError, match="has changed since it was loaded"):
                    post(server.url)
        if is_late:
            with pytest.raises(CassetteError, match="has changed since it was loaded"):
                cassettes.save(TODAY)
    assert len(server.posts) == is_late
    assert "orders/5/allocations" in path.read_text(encoding="utf-8")


def test_cassette_that_a_test_uses_twice_keeps_both_recordings(server: Staging, tmp_path: Path) -> None:
    with recorder(server.url, tmp_path) as (cassettes, _):
        for order_id in (7, 8):
            with cassettes.use("mine"):
                assert post(server.url, order_id) == 201
        cassettes.save(TODAY)
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    assert all(f"orders/{order_id}/allocations" in text for order_id in (7, 8))


def test_unwritable_folder_is_reported_before_a_write_is_spent(server: Staging, tmp_path: Path) -> None:
    with recorder(server.url, tmp_path) as (_, live):
        cassettes = Cassettes(Engine(), Path("/proc"), "once", lambda: live)  # where no file can be created
        with pytest.raises(CassetteError, match=r"cassette /proc/in/mine\.yaml cannot be written"):
            cassettes.use("in/mine")
        assert live.run_state.charged == 0
    assert server.posts == []


def test_unwritable_cassette_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CassetteError, match="cannot be written: "):
        write_cassette(CassetteFile("mine", tmp_path / "file" / "mine.yaml"), [created()], TODAY)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("https://127.0.0.1:8000", "loopback"), ("http://[::1]:8000", "loopback"), ("http://localhost", "loopback"),
        ("http://10.0.0.5", "private"), ("http://staging", "private"), ("http://veeqo.internal", "private"),
        ("https://api.example.com", "public"), ("https://8.8.8.8", "public"),
    ],
)  # fmt: skip
def test_stamp_has_the_kind_of_host_only(host: str, kind: str) -> None:
    assert kind_of_host(created(host=host)) == kind


@pytest.mark.parametrize("client", CLIENTS)
def test_recording_from_an_ipv6_address_plays_for_every_client(client: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(running(Fake(Engine(), api_key=HEADERS["x-api-key"]), host="::1")).url
        except OSError:
            pytest.skip("there is no IPv6 address on this machine")
        cassettes, _ = stack.enter_context(recorder(url, tmp_path))
        with cassettes.use("mine"):
            assert CLIENTS[client](f"{url}/orders/7/allocations", pool_request())[0] == 201
        cassettes.save(TODAY)
    assert f"uri: {url}/orders/7/allocations" in (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    for other in CLIENTS.values():
        with Cassettes(Engine(), tmp_path, "none", no_live).use("mine", strict_play=True):
            assert other(f"{url}/orders/7/allocations", pool_request())[0] == 201
