"""A parser of untrusted JSON and YAML documents. Limits prevent crashes and excessive use of memory."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH, MAX_MERGES = 200, 10
MAX_YAML = 64 * 1024 * 1024
"""The maximum size of a YAML document in bytes. A parsed document takes many times as much memory."""

_MAX_BRACKETS = 500
_INDENT = re.compile(r"^[ ?:-]*", re.MULTILINE)


class UnreadableFileError(Exception):
    """Raised for a file that cannot be read. The message does not name the file."""


def parse_document(data: bytes) -> tuple[Any, bool]:
    """Return *data*, parsed as JSON or YAML, and whether it is JSON. Raise UnreadableFileError if parsing fails."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFileError("not UTF-8, so neither JSON nor YAML") from None
    try:
        return json.loads(text), True
    except RecursionError:
        raise UnreadableFileError("nested too deeply") from None
    except json.JSONDecodeError as error:
        if text.lstrip()[:1] in ("{", "["):
            position = f"line {error.lineno}, column {error.colno}"
            raise UnreadableFileError(f"invalid or truncated JSON: {position}") from None
    except ValueError:
        raise UnreadableFileError("contains a number with too many digits") from None
    if len(data) > MAX_YAML:
        raise UnreadableFileError(f"YAML of more than {MAX_YAML // 1024**2} MB, which is the maximum size")
    return _parse_yaml(text), False


def _parse_yaml(text: str) -> Any:
    import yaml  # imported only if YAML is read

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if _may_be_harmful(text):
            _check_events(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=loader)  # noqa: S506  # a safe loader, in C if available
    except yaml.constructor.ConstructorError as error:
        if "python/" in str(error.problem):
            raise UnreadableFileError(
                "contains a tag of a Python object, which is unsafe to load: record the cassette again"
            ) from None
        raise UnreadableFileError(f"contains an unsupported tag{_position(error)}") from None
    except yaml.YAMLError as error:
        if "nesting depth" in str(getattr(error, "problem", "")):  # newer versions of libyaml have a limit of their own
            raise UnreadableFileError("nested too deeply") from None
        raise UnreadableFileError(f"neither valid JSON nor a single valid YAML document{_position(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # PyYAML raises many kinds of errors for values that contradict their tags.
        raise UnreadableFileError("YAML with a value that does not fit its tag") from None


def _may_be_harmful(text: str) -> bool:
    """Return whether *text* could contain deep nesting or merge keys."""
    has_many_brackets = text.count("[") + text.count("{") > _MAX_BRACKETS
    return "<<" in text or has_many_brackets or max(map(len, _INDENT.findall(text)), default=0) > MAX_DEPTH


def _check_events(events: Any) -> None:
    """Raise UnreadableFileError for too many merge keys, and for nesting so deep that the C loader would crash."""
    import yaml

    depth = merges = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        merges += isinstance(event, yaml.ScalarEvent) and event.value == "<<"
        if depth > MAX_DEPTH:
            raise UnreadableFileError("nested too deeply")
        if merges > MAX_MERGES:
            raise UnreadableFileError(f"contains more than {MAX_MERGES} merge keys, which is the maximum number")


def _position(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
