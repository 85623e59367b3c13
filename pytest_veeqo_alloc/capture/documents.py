"""Parsing of JSON and YAML documents, with limits, so that no content can harm the process."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH, MAX_MERGES = 200, 10
MAX_YAML = 64 * 1024 * 1024
"""The largest YAML document in bytes. Parsed, it takes many times as much memory."""

_MAX_BRACKETS = 500
_INDENT = re.compile(r"^[ ?:-]*", re.MULTILINE)


class UnreadableFileError(Exception):
    """A file that cannot be read. The message is one sentence without the file's name."""


def parse_document(data: bytes) -> tuple[Any, bool]:
    """Parse *data* as JSON or otherwise as YAML; return the document and whether it was JSON.

    Use it to detect a file's kind and to find the calls in it, not to check a body. UnreadableFileError if *data* is neither.
    """
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
            raise UnreadableFileError(f"not JSON, or cut off: {position}") from None
    except ValueError:
        raise UnreadableFileError("contains a number of too many digits") from None
    if len(data) > MAX_YAML:
        raise UnreadableFileError(f"YAML of more than {MAX_YAML // 1024**2} MB, the largest that is read")
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
                "contains a Python-object tag, which is never constructed: record it again"
            ) from None
        raise UnreadableFileError(f"contains an unsupported tag{_position(error)}") from None
    except yaml.YAMLError as error:
        if "nesting depth" in str(getattr(error, "problem", "")):  # the limit of newer versions of libyaml
            raise UnreadableFileError("nested too deeply") from None
        raise UnreadableFileError(f"neither JSON nor YAML of one document{_position(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # PyYAML raises many kinds of errors for values that contradict their tags.
        raise UnreadableFileError("YAML with a value that does not fit its tag") from None


def _may_be_harmful(text: str) -> bool:
    """Return whether *text* could nest deeply or merge: most cassettes cannot, which spares them a second parse."""
    if "<<" in text or text.count("[") + text.count("{") > _MAX_BRACKETS:
        return True
    return max(map(len, _INDENT.findall(text)), default=0) > MAX_DEPTH


def _check_events(events: Any) -> None:
    """Raise UnreadableFileError for deep nesting, at which the C loader crashes, and for many merges, which may double."""
    import yaml

    depth = merges = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        merges += isinstance(event, yaml.ScalarEvent) and event.value == "<<"
        if depth > MAX_DEPTH:
            raise UnreadableFileError("nested too deeply")
        if merges > MAX_MERGES:
            raise UnreadableFileError(f"contains more than {MAX_MERGES} merge keys, which no cassette does")


def _position(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
