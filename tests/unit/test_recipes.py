"""The recipes for CI services in examples/ci/: valid YAML, and commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support.recipes import RECIPES, commands, jobs

from pytest_veeqo_alloc.cli.main import parser
from pytest_veeqo_alloc.plugin.options import OPTIONS

_FLAGS = {name: metavar is None for name, metavar, *_ in OPTIONS}


def words(command: str) -> list[str]:
    """Return the words of the first command of a pipeline, without redirections."""
    return shlex.split(re.split(r" [|>&]|; ", command)[0], comments=True)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_has_jobs_with_commands(recipe: Path) -> None:
    assert all(commands(job) for job in jobs(recipe).values())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_options_of_a_recipe_exist(recipe: Path) -> None:
    lines = [command for job in jobs(recipe).values() for command in commands(job)]
    runs = [words(line) for line in lines if line.startswith("pytest ")]
    assert runs
    for run in runs:
        ours = [index for index, word in enumerate(run) if word.startswith("--veeqo-alloc-")]
        assert all(run[index].removeprefix("--veeqo-alloc-") in _FLAGS for index in ours)
        values = [index for index in ours if not _FLAGS[run[index].removeprefix("--veeqo-alloc-")]]
        assert not any(run[index + 1].startswith("-") for index in values)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_commands_of_a_recipe_exist(recipe: Path) -> None:
    for line in (command for job in jobs(recipe).values() for command in commands(job)):
        if "veeqo-alloc " in line and not line.startswith(("pytest ", "pip ", "{")):
            parser().parse_args(words(line[line.index("veeqo-alloc ") :])[1:])
        else:
            assert line.startswith(("pytest --pyargs ", "pip install ", "python app.py 8000 &", "curl ", "{"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_has_no_secret_and_asks_for_few_permissions(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    assert "write" not in re.findall(r"^permissions:\n((?:  .*\n)*)", text, flags=re.MULTILINE)
    assert set(re.findall(r"VEEQO_ALLOC_API_KEY: (\S+(?: secrets\.\S+ \}\})?)", text)) <= {
        "example-key", "${{ secrets.STAGING_API_KEY }}", "$STAGING_API_KEY",
    }  # fmt: skip
    assert ("pull_request" in text) <= ("secrets." not in text), "no run for a fork may read a secret"


def test_monthly_jobs_of_both_services_run_the_same_commands() -> None:
    by_name = {recipe.stem: recipe for recipe in RECIPES}
    github, gitlab = (commands(jobs(by_name[name])["drift"]) for name in ("github-drift", "gitlab"))
    assert github == gitlab
