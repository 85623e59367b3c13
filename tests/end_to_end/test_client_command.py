"""A client that is a command: what it is given, how it answers, and commands that break every promise."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_veeqo_alloc.conformance import UnusableError, command_client
from pytest_veeqo_alloc.conformance.command_client import MAX_OUTPUT, CommandCall, CommandClient, CommandError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a POSIX shell")

KEY, URL = "not-a-real-key", "http://127.0.0.1:9"
LINES = [{"sellable_id": 1226615, "quantity": 1}]
GIVEN = {"order_id": 447452, "warehouse_id": 1784, "line_items": LINES}
SUITE = "pytest_veeqo_alloc.conformance.test_veeqo_alloc_client"


def in_shell(script: str) -> str:
    """Return the command that runs *script* in a shell."""
    return f"sh -c {shlex.quote(script)}"


def call_of(script: str, folder: Path) -> CommandCall:
    return CommandClient(in_shell(script), str(folder))(URL, KEY)


def allocate(call: CommandCall) -> None:
    call(447452, 1784, LINES)


def raised_by(script: str, folder: Path) -> Exception:
    """Return the exception of an allocation by *script*."""
    with pytest.raises((CommandError, UnusableError)) as caught:
        allocate(call_of(script, folder))
    return caught.value


def test_command_gets_the_allocation_and_no_other_variable_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", "the-key-of-staging")
    monkeypatch.setenv("VEEQO_ALLOC_OTHER", "anything")
    monkeypatch.setenv("SHOP_SETTING", "kept")
    allocate(call_of("cat > given; env > environment", tmp_path))
    assert json.loads((tmp_path / "given").read_text(encoding="utf-8")) == GIVEN
    environment = (tmp_path / "environment").read_text(encoding="utf-8").splitlines()
    assert sorted(line for line in environment if line.startswith("VEEQO")) == [
        f"VEEQO_ALLOC_API_KEY={KEY}", f"VEEQO_ALLOC_URL={URL}",
    ]  # fmt: skip
    assert "SHOP_SETTING=kept" in environment


@pytest.mark.parametrize("output", ["", '{"id": 1}', "[]\\n", "null"])
def test_exit_status_0_with_json_or_nothing_is_a_success(output: str, tmp_path: Path) -> None:
    call = call_of(f"printf {shlex.quote(output)}", tmp_path)
    allocate(call)
    assert not call.problem


def test_success_with_other_output_has_a_problem(tmp_path: Path) -> None:
    call = call_of("echo allocated", tmp_path)
    allocate(call)
    assert call.problem == (
        "the client command succeeds and prints text that is not JSON: it must print the order as JSON, or nothing, on "
        "standard output; log to standard error"
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "exit status 3"),
        ("echo '{}'; exit 1", "exit status 1"),
        ("kill -9 $$", "an end by the signal SIGKILL"),
        ("kill -40 $$", "an end by the signal 40"),
        ("nowhere/allocate", "exit status 127"),
    ],
)
def test_any_other_end_is_a_failure(script: str, message: str, tmp_path: Path) -> None:
    error = raised_by(script, tmp_path)
    assert (type(error), str(error)) == (CommandError, message)


def test_command_that_does_not_read_its_input_is_no_error(tmp_path: Path) -> None:
    allocate(call_of("exec <&-", tmp_path))


def test_output_without_end_is_cut_with_one_sentence(tmp_path: Path) -> None:
    error = raised_by("yes", tmp_path)
    assert str(error) == "the client command prints more than 10,000,000 bytes on standard output"


def test_standard_error_without_end_is_dropped(tmp_path: Path) -> None:
    call = call_of("head -c 30000000 /dev/zero >&2; echo the end >&2", tmp_path)
    allocate(call)
    assert call._program is not None
    assert len(call._program.stderr) == MAX_OUTPUT + 1


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("nowhere", "the client command 'nowhere' does not exist, or may not be executed"),
        ("./nowhere --now", "the client command './nowhere' does not exist, or may not be executed"),
        ("./plain", "the client command './plain' does not exist, or may not be executed"),
        ("", "--veeqo-alloc-client-command must be a command such as 'node allocate.mjs', not ''"),
        ("node 'it", "--veeqo-alloc-client-command must be a command such as 'node allocate.mjs', not \"node 'it\""),
    ],
)
def test_command_that_cannot_be_found_is_one_sentence(command: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with pytest.raises(UnusableError) as caught:
        CommandClient(command, str(tmp_path))
    assert str(caught.value) == sentence


def test_command_that_cannot_be_run_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\0\0")
    (tmp_path / "broken").chmod(0o700)
    with pytest.raises(UnusableError, match=r"the client command '.*/broken' cannot be run: Exec format error"):
        allocate(CommandClient("./broken", str(tmp_path))(URL, KEY))


# Processes


def in_thread(call: CommandCall) -> tuple[threading.Thread, list[BaseException]]:
    """Start an allocation in a thread. Return the thread, and a list that gets its exception."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            allocate(call)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def test_command_that_never_ends_is_stopped_with_all_its_processes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    call = call_of("exec 3>held; trap '' TERM; sleep 1000 & sleep 1000", tmp_path)
    thread, errors = in_thread(call)
    with (tmp_path / "held").open("rb") as held:  # waits for the command
        call.stop()
        thread.join(20)
        assert held.read() == b"", "a process still holds the pipe"
    assert str(errors[0]) == "an end by the signal SIGKILL"


def test_process_that_a_command_leaves_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    call = call_of("exec 3>held; sleep 1000 & exit 0", tmp_path)
    thread, errors = in_thread(call)
    with (tmp_path / "held").open("rb") as held:
        thread.join(20)
        assert held.read() == b"", "a process still holds the pipe"
    assert not errors


def test_process_outside_of_the_group_delays_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_client, "_SECONDS", 0.01)
    leave = "import os, time; os.fork() or (os.setsid(), print(os.getpid(), flush=True), time.sleep(1000))"
    call = call_of(f"{shlex.quote(sys.executable)} -c {shlex.quote(leave)}", tmp_path)
    allocate(call)
    assert call._program is not None
    if process := bytes(call._program.stdout).strip():
        os.kill(int(process), 9)


def test_call_that_is_stopped_before_it_starts_ends(tmp_path: Path) -> None:
    call = call_of("sleep 1000", tmp_path)
    call.stop()
    with pytest.raises(CommandError, match="SIGKILL"):
        allocate(call)


# What is printed


@pytest.mark.parametrize("script", ["echo {key}; exit 1", "echo {key} >&2", 'echo "{{\\"key\\": \\"{key}\\"}}"'])
def test_printed_key_is_noticed(script: str, tmp_path: Path) -> None:
    call = call_of(script.format(key=KEY), tmp_path)
    with suppress(CommandError):
        allocate(call)
    assert call.shows_key


def test_end_of_standard_error_is_kept(tmp_path: Path) -> None:
    call = call_of("head -c 5000 /dev/zero >&2; printf 'the \\377 cause' >&2; exit 1", tmp_path)
    with pytest.raises(CommandError):
        allocate(call)
    assert len(call.stderr) == 2000
    assert call.stderr.endswith("the \N{REPLACEMENT CHARACTER} cause")
    assert not call.shows_key


# The persistent mode

ECHO = 'while read -r line; do echo "$line" >> given; echo \'{"ok": true, "order": {}}\'; done; echo ended >> given'


def persistent(script: str, folder: Path) -> CommandClient:
    return CommandClient(in_shell(script), str(folder), is_persistent=True)


def test_persistent_command_makes_all_allocations_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", "the-key-of-staging")
    client = persistent(f"env > environment; {ECHO}", tmp_path)
    for key in ("first", "second"):
        allocate(client(URL, key))
    client.close()
    *given, end = (tmp_path / "given").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in given] == [
        {"url": URL, "api_key": key, **GIVEN} for key in ("first", "second")
    ]
    assert end == "ended"
    assert "VEEQO_ALLOC" not in (tmp_path / "environment").read_text(encoding="utf-8")


ANSWERS: dict[str, tuple[str, type[Exception], str]] = {
    "not ok": ('{"ok": false}', CommandError, 'the answer {"ok": false}'),
    "not JSON": ("allocated", UnusableError, 'the client command must answer each line with {"ok": true} or {"ok": false} in one line'),
    "an order": ('{"id": 1}', UnusableError, 'the client command must answer each line with {"ok": true} or {"ok": false} in one line'),
    "an array": ("[true]", UnusableError, 'the client command must answer each line with {"ok": true} or {"ok": false} in one line'),
    "a text": ('{"ok": "false"}', UnusableError, 'the client command must answer each line with {"ok": true} or {"ok": false} in one line'),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_of_a_persistent_command_is_checked(name: str, tmp_path: Path) -> None:
    answer, kind, message = ANSWERS[name]
    client = persistent(f"read -r line; echo {shlex.quote(answer)}; read -r line", tmp_path)
    with pytest.raises(kind) as caught:
        allocate(client(URL, KEY))
    assert str(caught.value) == message
    client.close()


def test_second_line_for_one_allocation_is_one_sentence(tmp_path: Path) -> None:
    client = persistent("""while read -r line; do printf '{"ok": true}\\n{"ok": true}\\n'; done""", tmp_path)
    allocate(client(URL, KEY))
    with pytest.raises(UnusableError, match="printed more than one line for one allocation"):
        allocate(client(URL, KEY))
    client.close()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 4", "exit status 4 instead of an answer"),
        ("kill $$", "an end by the signal SIGTERM instead of an answer"),
    ],
)
def test_persistent_command_that_ends_is_started_again(script: str, message: str, tmp_path: Path) -> None:
    client = persistent(f"if [ -e before ]; then {ECHO}; fi; touch before; read -r line; {script}", tmp_path)
    with pytest.raises(CommandError) as caught:
        allocate(client(URL, KEY))
    assert str(caught.value) == message
    allocate(client(URL, KEY))
    client.close()


def test_persistent_command_that_does_not_answer_is_stopped_and_started_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    client = persistent(f"if [ -e before ]; then {ECHO}; else touch before; exec 3>held; cat > /dev/null; fi", tmp_path)
    call = client(URL, KEY)
    thread, errors = in_thread(call)
    with (tmp_path / "held").open("rb") as held:
        call.stop()
        thread.join(20)
        assert held.read() == b""
    assert str(errors[0]) == "an end by the signal SIGKILL instead of an answer"
    allocate(client(URL, KEY))
    client.close()


def test_line_without_end_is_cut_with_one_sentence(tmp_path: Path) -> None:
    client = persistent("yes | tr -d '\\n'", tmp_path)
    with pytest.raises(UnusableError, match="prints more than 10,000,000 bytes"):
        allocate(client(URL, KEY))
    client.close()


def test_persistent_command_that_ignores_the_end_of_its_input_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_client, "_SECONDS", 0.01)
    os.mkfifo(tmp_path / "held")
    client = persistent("""exec 3>held; read -r line; echo '{"ok": true}'; sleep 1000""", tmp_path)
    thread, errors = in_thread(client(URL, KEY))
    with (tmp_path / "held").open("rb") as held:
        thread.join(20)
        client.close()
        assert held.read() == b""
    assert not errors


# Runs of the suite

FAILING = 'echo "cannot find module shop, key $VEEQO_ALLOC_API_KEY" >&2; exit 1'


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(
        "--pyargs", SUITE, "-W", "error", "-p", "no:cacheprovider", "-k", "wrong-method", *options
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--veeqo-alloc-client-command=nowhere --fast"], "veeqo-alloc: the client command 'nowhere' does not exist, or may not be executed"),
        (
            [f"--veeqo-alloc-client-command={in_shell(FAILING)}"],
            "veeqo-alloc: the client sends no request to the URL that it is given: exit status 1 (standard error: shown with "
            "--veeqo-alloc-show-values); use the environment variable VEEQO_ALLOC_URL; if the environment *",
        ),
        (
            ["--veeqo-alloc-client-command=sleep 30", "--veeqo-alloc-client-timeout=0.1"],
            "veeqo-alloc: the client sends no request to the URL that it is given: no end of the call within 0.1 seconds; use *",
        ),
        (
            [f"--veeqo-alloc-client-command={in_shell(FAILING)}", "--veeqo-alloc-show-values"],
            "veeqo-alloc: *: exit status 1 (standard error: cannot find module shop, key [[]masked]); use *",
        ),
        (
            ["--veeqo-alloc-client-command=cat", "--veeqo-alloc-client-persistent"],
            'veeqo-alloc: the client command must answer each line with {"ok": true} or {"ok": false} in one line',
        ),
    ],
    ids=["no such command", "standard error hidden", "no end", "standard error shown", "persistent"],
)  # fmt: skip
def test_unusable_command_stops_the_run_with_one_sentence(
    options: list[str], sentence: str, pytester: pytest.Pytester
) -> None:
    result = run(pytester, *options)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*{sentence}"])
    text = result.stdout.str()
    assert "Traceback" not in text
    assert "conformance-" not in text
    assert ("cannot find module" in text) == ("--veeqo-alloc-show-values" in options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--veeqo-alloc-client=a:b", "--veeqo-alloc-client-command=c"), "give --veeqo-alloc-client or --veeqo-alloc-client-command, not both"),
        (("--veeqo-alloc-client-persistent",), "--veeqo-alloc-client-persistent requires --veeqo-alloc-client-command: give both"),
    ],
)  # fmt: skip
def test_options_that_contradict_each_other_are_one_sentence(
    options: tuple[str, ...], sentence: str, pytester: pytest.Pytester
) -> None:
    result = pytester.runpytest_inprocess(*options)
    result.stderr.fnmatch_lines([f"ERROR: veeqo-alloc: {sentence}"])


def test_command_of_the_ini_file_runs_in_its_folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeini("[pytest]\nveeqo_alloc_client_command = sh ./allocate.sh")
    (pytester.path / "allocate.sh").write_text("touch started\n", encoding="utf-8")
    monkeypatch.chdir(pytester.mkdir("elsewhere"))
    result = run(pytester)
    result.stdout.fnmatch_lines(
        ["veeqo-alloc: *, client sh", "*the client sends no request to the URL that it is given; *"]
    )
    assert (pytester.path / "started").exists()
