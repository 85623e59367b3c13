"""The recipes for CI services in examples/ci/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

RECIPES = sorted((Path(__file__).parents[2] / "examples" / "ci").glob("*.yml"))
_GITLAB_KEYS = {"image", "stages", "variables", "default"}


def jobs(recipe: Path) -> dict[str, Any]:
    """Return the jobs of *recipe* by name."""
    document = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    if "jobs" in document:
        return dict(document["jobs"])
    return {name: job for name, job in document.items() if name not in _GITLAB_KEYS}


def steps(job: dict[str, Any]) -> list[tuple[str, bool]]:
    """Return the shell script of each step of *job*, and whether it runs after a failure too."""
    if "script" in job:
        return [("\n".join(job["script"]), False)]
    return [(step["run"].strip(), step.get("if") == "always()") for step in job["steps"] if "run" in step]


def commands(job: dict[str, Any]) -> list[str]:
    """Return the shell commands of *job*, each as one text."""
    scripts = job.get("script") or [script for script, _ in steps(job)]
    lines = [line for script in scripts for line in ([script] if script[0] in "{i" else script.splitlines())]
    return [" ".join(line.split()) for line in lines]
