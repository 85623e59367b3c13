"""The documentation: its code runs, what it names exists, and the output that it shows is the real one."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from make_reference import PAGES as PAGES_OF_CODE
from support.bodies import BODY, allocation_request, drop, order, put
from support.cassettes import created, write
from support.clients import CLIENTS
from support.live import KEY, live_at, pool_request
from support.pages import PAGES, README, ROOT, blocks, files_of, missing_lines, page
from support.reports import report_of_bodies
from support.served import served
from support.staging import staging

from pytest_veeqo_alloc import serve_fake
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.cli.serve import load_stubs
from pytest_veeqo_alloc.contract.deviations import parse
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.recording.matching import UnmatchedRequestError
from pytest_veeqo_alloc.recording.session import Cassettes
from pytest_veeqo_alloc.reporting.report_file import save

HOOKS = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")


DEVIATIONS, STUBS = (
    next(block for block in blocks("toml") if f"[[{table}]]" in block) for table in ("deviation", "stub")
)
(POOL,) = blocks("toml", page("howto/staging.md"))


def test_every_kind_of_block_is_tested() -> None:
    kinds = set(re.findall(r"^```(\w+)$", README, flags=re.MULTILINE))
    assert kinds == {"bash", "console", "python", "javascript", "text", "ini", "toml"}


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("tutorial-client.md", "body = {", 'body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": attributes}}'),
        ("tutorial-server.md", 'order["line_items"] = [', "pass"),
    ],
)  # fmt: skip
def test_tutorial_fails_as_shown_and_passes_once_fixed(
    pytester: pytest.Pytester, name: str, wrong: str, right: str
) -> None:
    files = files_of(name)[:2]
    for file, code in files:
        (pytester.path / file).write_text(code, encoding="utf-8")
    broken = pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider")
    broken.assert_outcomes(failed=1)
    shown, *_ = blocks("text", page(name))
    assert missing_lines(shown, broken) == []
    (file, code) = files[0]
    mended = [f"    {right}" if line.strip().startswith(wrong) else line for line in code.splitlines()]
    (pytester.path / file).write_text("\n".join(mended), encoding="utf-8")
    pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_client_tutorial_reports_the_wrong_id_as_shown(pytester: pytest.Pytester) -> None:
    text = page("tutorial-client.md")
    shop, test, wrapped, cancel, wrong, right = re.findall(
        r"^```python\n#[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    )
    mended = "".join(f"{wrapped}" if "body = {" in line else line for line in shop.splitlines(keepends=True))
    pytester.makepyfile(shop=f"{mended}\n\n{cancel}", test_shop=test + wrong)
    result = pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    (shown,) = (block.strip() for block in blocks("text", text) if "order id" in block)
    assert shown in result.outlines
    head, _, _ = wrong.rpartition("    shop.cancel")
    pytester.makepyfile(test_more=f"import shop\n\n{head}{right}")
    result = pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider", "test_more.py")
    result.assert_outcomes(passed=1)
    assert "order id" not in result.stdout.str()


@pytest.mark.with_plugins("requests_mock")
def test_every_recipe_passes(pytester: pytest.Pytester) -> None:
    recipes = blocks("python", page("howto/recipes.md"))
    pytester.makepyfile(**{f"test_{number}": code for number, code in enumerate(recipes)})
    result = pytester.runpytest_inprocess("-W", "error", "-W", "ignore::DeprecationWarning", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=len(recipes))
    assert len(recipes) == 6


@pytest.mark.parametrize("made", PAGES_OF_CODE)
def test_reference_page_is_generated_from_the_code(made: str) -> None:
    assert page(f"reference/{made}.md") == PAGES_OF_CODE[made]()


def test_examples_of_the_api_pass(pytester: pytest.Pytester) -> None:
    source = (ROOT / "docs" / "reference" / "api_examples.py").read_text(encoding="utf-8")
    few = (
        "from hypothesis import HealthCheck, settings\n\n"
        "settings.register_profile('few', max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))\n"
        "settings.load_profile('few')\n"
    )
    pytester.makepyfile(conftest=few, test_api=source)
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=source.count("\ndef test_"))


OTHERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]


@pytest.mark.parametrize("path", [*OTHERS, *PAGES], ids=lambda path: path.name)
def test_every_file_of_the_repository_that_a_page_names_is_there(path: Path) -> None:
    named = re.findall(
        r"`((?:tests|tools|benchmarks|schemas|docs|examples)/[\w./-]+\.\w+)`", path.read_text(encoding="utf-8")
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"tox run (?:-q )?-e ([a-z]\w*)", "".join(map(Path.read_text, OTHERS)))))
)
def test_tox_environment_named_in_a_page_exists(name: str) -> None:
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert f"[testenv:{name}]" in tox or name.startswith("py")


def test_every_page_is_once_in_the_contents_of_the_site() -> None:
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", page("index.md"), flags=re.MULTILINE | re.DOTALL)
    entries = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md")}
    assert sorted(entries) == sorted(pages - {"index"})


@pytest.mark.parametrize("path", [*OTHERS, *PAGES], ids=lambda path: path.name)
def test_links_to_files_are_not_broken(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    files = [link for link in links if "://" not in link]
    assert [link for link in files if not (path.parent / link).exists()] == []


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and the documentation site make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*OTHERS, *PAGES], ids=lambda path: path.name)
def test_links_to_headings_are_not_broken(path: Path) -> None:
    links = re.findall(r"\]\(([^):#]*)#([^)]+)\)", path.read_text(encoding="utf-8"))
    missing = [(file, anchor) for file, anchor in links if anchor not in anchors(path.parent / file if file else path)]
    assert missing == []


def run_readme(
    pytester: pytest.Pytester, server_url: str, word: str, *options: str, apart: bool = False
) -> pytest.RunResult:
    run = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
    tests = [block for block in blocks("python") if "def test_" in block and word in block]
    files = {f"test_{number}": block.replace("http://127.0.0.1:8000", server_url) for number, block in enumerate(tests)}
    pytester.makepyfile(**files)
    return run("-W", "error", "-p", "no:randomly", *options)


def test_own_tests_of_the_docs_pass(pytester: pytest.Pytester, server_url: str) -> None:
    run_readme(pytester, server_url, "REPLACE: the URL of your server").assert_outcomes(passed=2)


def test_cassette_tests_of_the_docs_pass(pytester: pytest.Pytester, server_url: str) -> None:
    run_readme(pytester, server_url, "created-partial").assert_outcomes(passed=2)


def test_server_tests_of_the_docs_pass(pytester: pytest.Pytester, server_url: str) -> None:
    run_readme(pytester, server_url, "(veeqo_alloc_server").assert_outcomes(passed=4)


def test_nearest_call_is_as_shown() -> None:
    with serve_fake() as server:
        url, headers = f"{server.url}/orders/447452/allocations", {"x-api-key": server.api_key}
        requests.post(url, json=allocation_request(2, warehouse_id=5), headers=headers, timeout=5)
        with pytest.raises(AssertionError) as caught:
            server.assert_allocated(order_id=447452, warehouse_id=1784, lines={1226615: 1})
    assert f"AssertionError: {caught.value}\n" in blocks("text")


def test_serve_fake_block_passes(pytester: pytest.Pytester, server_url: str) -> None:
    run_readme(pytester, server_url, "serve_fake").assert_outcomes(passed=1)


def test_stub_file_of_the_docs_is_valid(tmp_path: Path) -> None:
    (tmp_path / "stubs.toml").write_text(STUBS, encoding="utf-8")
    (stub,) = load_stubs(str(tmp_path / "stubs.toml"))
    assert stub.name == "GET /warehouses"


def test_output_of_serve_is_as_shown(tmp_path: Path) -> None:
    (shown,) = (block for block in blocks("console") if "requests: 3" in block)
    (asked,) = (block for block in blocks("console") if "__veeqo_alloc__/faults" in block)
    post, fault, look = (
        shlex.split(line) for line in re.split(r"^\$ ", asked.replace("\\\n", " "), flags=re.MULTILINE)[1:]
    )
    bare = [json.dumps(json.loads(part)["allocation"]) if part.startswith('{"allocation') else part for part in post]
    with served(tmp_path) as process:
        for command in (post, fault, post, bare, look):
            arguments = [part.replace("http://127.0.0.1:8080", process.url) for part in command]
            subprocess.run([*arguments, "-sS"], check=True, capture_output=True)
        assert process.stop() == 1
    assert shown == f"$ veeqo-alloc serve --port 8080\nhttp://127.0.0.1:8080\n{process.out}"


def no_live() -> LiveClient:
    raise AssertionError("a cassette that is played needs no server")


def test_unmatched_request_is_as_shown(tmp_path: Path) -> None:
    sent = copy.deepcopy(BODY)
    sent["allocation"]["line_items_attributes"][0]["quantity"], sent["allocation"]["note"] = 2, "please"
    write(tmp_path, "mine", created())
    cassettes = Cassettes(Engine(), tmp_path, "none", no_live)
    with cassettes.use("mine"), pytest.raises(UnmatchedRequestError) as caught:
        CLIENTS["requests"]("https://api.example.com/orders/447452/allocations", sent)
    (shown,) = (block for block in blocks("text") if block.startswith("the cassette"))
    assert shown == f"{caught.value}\n"


@pytest.mark.with_plugins("hypothesispytest")
def test_property_test_fails_as_shown(pytester: pytest.Pytester, server_url: str) -> None:
    result = run_readme(pytester, server_url, "class Recorder", "--hypothesis-seed=1", apart=True)
    result.assert_outcomes(failed=1)  # apart, so without our Hypothesis profile
    (shown,) = (block for block in blocks("text") if "Failing test case" in block)
    failure, case = shown.splitlines()[:7], shown.splitlines()[7:]
    result.stdout.fnmatch_lines([line.replace("[", "[[]").rstrip() + "*" for line in failure], consecutive=True)
    if "Failing test case" in result.stdout.str():  # the words and the layout are those of the newest Hypothesis
        result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in case], consecutive=True)


def test_other_python_block_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (
        block
        for block in blocks("python")
        if not any(word in block for word in ("def test_", "import shop", "pytest.fixture"))
    )
    exec(compile(code, "README.md", "exec"), {})
    assert "request-not-wrapped" in capsys.readouterr().out


def test_django_page_shows_the_files_of_the_example() -> None:
    conftest, tests, (_, hook) = files_of("howto/django.md")
    for name, code in (conftest, tests):
        assert (ROOT / "examples" / "server_django" / name).read_text(encoding="utf-8").endswith(code)
    compile(hook, "conftest.py", "exec")


def on_staging(command: str, url: str) -> list[str]:
    """Return the options of the shown *command*, with the server *url* instead of the staging server."""
    host = url.partition("://")[2]
    _, *options = shlex.split(command.replace("https://staging.example.com", url).replace("staging.example.com", host))
    return [*options, "-W", "error", "-p", "no:randomly"]


def test_cassette_is_recorded_and_played_with_the_shown_commands(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = (block for block in blocks("python") if "SHOP_VEEQO_URL" in block)
    (block,) = (block for block in blocks("console") if "-k one_unit" in block)
    _, record, play = block.replace("\\\n", " ").removesuffix("\n").split("\n")
    pytester.makepyfile(test_it=code)
    (pytester.path / "pool.toml").write_text(POOL, encoding="utf-8")
    with serve_fake(api_key=KEY) as server:
        monkeypatch.setenv("SHOP_VEEQO_URL", server.url)
        with monkeypatch.context() as now:
            now.setenv("VEEQO_ALLOC_API_KEY", KEY)
            result = pytester.runpytest_inprocess(*on_staging(record.removeprefix("$ "), server.url))
        result.assert_outcomes(passed=1)
        assert (pytester.path / "tests" / "cassettes" / "one-unit.yaml").exists()
    pytester.runpytest_inprocess(*on_staging(play.removeprefix("$ "), server.url)).assert_outcomes(passed=1)


def test_staging_test_writes_with_the_shown_command(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    (code,) = (block for block in blocks("python") if "veeqo_alloc_target" in block)
    (block,) = (block for block in blocks("console") if "-k staging" in block)
    pytester.makepyfile(test_it=code)
    (pytester.path / "pool.toml").write_text(POOL, encoding="utf-8")
    with serve_fake(api_key=KEY) as server:
        command = block.replace("\\\n", " ").removeprefix("$ ")
        result = pytester.runpytest_inprocess(*on_staging(command, server.url))
        server.reset()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["veeqo-alloc: order 447452: deleted *", "veeqo-alloc: 1 interaction checked"])


def test_server_settings_of_the_docs_are_used(pytester: pytest.Pytester) -> None:
    (code,) = (block for block in blocks("python") if "def veeqo_alloc_server_settings" in block)
    pytester.makeconftest(code)
    pytester.makepyfile(
        "def test_it(veeqo_alloc_server): assert veeqo_alloc_server.api_key == 'the key of my settings'"
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


@pytest.mark.with_plugins("hypothesispytest")
def test_broken_payloads_of_the_docs_are_found(pytester: pytest.Pytester, server_url: str) -> None:
    run_readme(pytester, server_url, "invalid_allocation_requests").assert_outcomes(passed=1)


def test_deviation_file_of_the_docs_is_valid() -> None:
    (deviation,) = parse(DEVIATIONS)
    assert deviation.expires == tomllib.loads(DEVIATIONS)["deviation"][0]["expires"]


def test_order_pool_and_cleanup_are_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    with staging() as server:
        server.last_id = 323498
        with live_at(server.url, tmp_path, orders=POOL) as live:
            live.post(447452, pool_request(warehouse_id=1784, sellable_id=1226616))
        host = server.url.partition("://")[2]
        main(["cleanup", str(tmp_path / "journal.jsonl"), "--base-url", server.url, "--allow-host", host])
    assert f"--allow-host staging.example.com\n{capsys.readouterr().out}```" in README


def test_ini_file_of_the_docs_is_valid(pytester: pytest.Pytester) -> None:
    (text,) = (block for block in blocks("ini") if "profile" in block)
    pytester.makeini(text)
    pytester.makepyfile("def test_it(veeqo_alloc_contract): assert 'strict' in repr(veeqo_alloc_contract)")
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_ini_file_for_several_machines_is_valid(pytester: pytest.Pytester) -> None:
    (text,) = (block for block in blocks("ini") if "base_url" in block)
    pytester.makeini(text)
    result = pytester.runpytest_inprocess("-W", "error")
    result.stdout.fnmatch_lines(["veeqo-alloc: profile documented, target https://staging.example.com"])


@pytest.mark.parametrize("command", sorted(set(re.findall(r"(?:\$ |`)veeqo-alloc (\w+)", README))))
def test_command_named_in_the_docs_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert command in capsys.readouterr().out


def with_token(value: str) -> dict[str, Any]:
    return {"X-Token": value}


@pytest.mark.parametrize("hook", yaml.safe_load(HOOKS), ids=lambda hook: hook["id"])
def test_pre_commit_hook_is_documented_and_runs(hook: dict[str, Any], tmp_path: Path) -> None:
    assert f"`{hook['id']}`" in README
    write(tmp_path, "clean", created(**with_token("REDACTED")))
    program, *command = hook["entry"].split()
    assert program == "veeqo-alloc"
    assert main([*command, str(tmp_path)]) == 0
    write(tmp_path, "leaking", created(**with_token("hunter22")))
    assert main([*command, str(tmp_path)]) == int("--lint" in command)


def test_rules_named_in_the_docs_exist() -> None:
    named = set(re.findall(r"(?:rule = \"|rule |\b)([a-z]+(?:-[a-z]+)+)=(?:error|warning|off)", README))
    assert named
    assert named <= CATALOGUE.keys()


def test_profile_table_matches_the_rules() -> None:
    words = {"error": "error", "warning": "warning", "off": "\N{EN DASH}"}
    rows = re.findall(r"^\| `(\w+)`(?: \(default\))? \| (\S+) \| (\S+) \| (\S+) \|$", README, flags=re.MULTILINE)
    assert [profile for profile, *_ in rows] == ["lenient", "documented", "strict"]
    for profile, *cells in rows:
        rules = ("absent-field", "undocumented-field", "total")
        assert cells == [words[CATALOGUE[rule].severities[profile]] for rule in rules]


COVERED = (
    f"BODY = {BODY}\n"
    + """
import pytest
import requests
from pytest_veeqo_alloc import build_order

def test_client(veeqo_alloc_server):
    url = veeqo_alloc_server.url + "/orders/447452/allocations?page=1"
    requests.post(url, json=BODY, headers={"x-api-key": veeqo_alloc_server.api_key}, timeout=5)

@pytest.mark.parametrize("changed", [{}, {"colour": "red"}])
def test_server(veeqo_alloc_contract, changed):
    order = build_order() | changed
    if changed:
        order["deliver_to"]["zip"] = None
        del order["number"]
    veeqo_alloc_contract.check_body("response", order)
"""
)


def test_coverage_summary_is_as_shown(pytester: pytest.Pytester) -> None:
    (pytester.path / "known.toml").write_text(
        '[[deviation]]\nrule = "absent-field"\npointer = ["/number", "/notes"]\nreason = "ours"\n', encoding="utf-8"
    )
    pytester.makeini("[pytest]\nveeqo_alloc_deviations = known.toml")
    pytester.makepyfile(test_it=COVERED)
    (command,) = (block for block in blocks("console") if "--veeqo-alloc-coverage-min" in block)
    result = pytester.runpytest_inprocess("-p", "no:randomly", *shlex.split(command.removeprefix("$ pytest ")))
    assert result.ret == 0
    (shown,) = (block for block in blocks("text") if "report written" in block)
    output = [line.replace(f"{pytester.path}/", "") for line in result.outlines if line.startswith("veeqo-alloc: ")]
    assert output[1:] == shown.splitlines()


def test_baseline_page_works_as_shown(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = page("howto/baselines.md")
    ((name, code),) = files_of("howto/baselines.md")
    (pytester.path / name).write_text(code, encoding="utf-8")
    (output,), (entries,) = blocks("text", text), blocks("toml", text)
    (write, accept), (strict, update) = (block.replace("$ ", "").splitlines() for block in blocks("console", text))
    results = [
        pytester.runpytest_inprocess("-W", "error", *shlex.split(command)[1:]) for command in (write, accept, strict)
    ]
    assert [result.ret for result in results] == [1, 0, 0]
    assert output.strip() in [line.replace(f"{pytester.path}/", "") for line in results[0].outlines]
    written = (pytester.path / "accepted.toml").read_text(encoding="utf-8")
    assert re.sub(r"[0-9-]{10}", "2026-11-28", written).endswith(f"\n\n{entries}")
    monkeypatch.chdir(pytester.path)
    capsys.readouterr()
    assert main(shlex.split(update)[1:]) == 0
    assert capsys.readouterr().err == "veeqo-alloc: accepted.toml: 2 entries: 2 seen again\n"
    assert (pytester.path / "accepted.toml").read_text(encoding="utf-8") == written


def test_page_about_used_fields_works_as_shown(pytester: pytest.Pytester) -> None:
    text = page("howto/uses.md")
    ((name, code),) = files_of("howto/uses.md")
    (pytester.path / name).write_text(code, encoding="utf-8")
    (shown_list,) = re.findall(r"^```text\n(# The response.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (shown,) = (block for block in blocks("text", text) if "does not concern you" in block)
    write, read = blocks("console", text)[0].replace("$ ", "").splitlines()
    results = [pytester.runpytest_inprocess("-W", "error", *shlex.split(command)[1:]) for command in (write, read)]
    assert [result.parseoutcomes() for result in results] == [{"failed": 2, "passed": 1}, {"failed": 1, "passed": 2}]
    assert (pytester.path / "uses.txt").read_text(encoding="utf-8") == shown_list
    lines = [line for line in results[1].outlines if line.startswith("veeqo-alloc: ")]
    assert lines[-5:] == shown.splitlines()
    (settings,) = blocks("ini", text)
    pytester.makeini(settings)
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2, failed=1)


def test_report_diff_is_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    months = {
        "october": [put(order(), "/due_date", "2026-01-31")],
        "november": [order(), put(drop(order(), "/deliver_to/zip"), "/colour", "red")],
    }
    for month, bodies in months.items():
        save(report_of_bodies(*bodies), Path(f"{month}.json"))
    (block,) = (block for block in blocks("console") if "new drifts" in block)
    command, _, shown = block.partition("\n")
    assert main(shlex.split(command)[2:]) == 1
    assert capsys.readouterr().out == shown
