"""Text to a document: JSON or else YAML, read so that no content can harm the reader."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH, MAX_MERGES = 200, 10
MAX_YAML = 64 * 1024 * 1024
"""Bytes of YAML that are read; a parsed document takes many times as much memory."""

_FEW = 500
_INDENT = re.compile(r"^[ ?:-]*", re.MULTILINE)


class UnreadableFileError(Exception):
    """A file that cannot be read as what it is, in one sentence without the file's name."""


def parse_document(data: bytes) -> tuple[Any, bool]:
    """*data* as JSON, or else as YAML, and whether it was JSON. Only to tell what it is and to find calls in it, never
    to judge a body. UnreadableFileError where it is neither."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFileError("not UTF-8, so neither JSON nor YAML") from None
    try:
        return json.loads(text), True
    except RecursionError:
        raise UnreadableFileError("nests too deep to be read") from None
    except json.JSONDecodeError as error:
        if text.lstrip()[:1] in ("{", "["):
            where = f"line {error.lineno}, column {error.colno}"
            raise UnreadableFileError(f"not JSON, or cut off: {where}") from None
    except ValueError:
        raise UnreadableFileError("has a number of too many digits") from None
    if len(data) > MAX_YAML:
        raise UnreadableFileError(f"YAML of more than {MAX_YAML // 1024**2} MB, which is not read")
    return _parse_yaml(text), False


def _parse_yaml(text: str) -> Any:
    import yaml  # not before there is YAML

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_harm(text, loader)
        return yaml.load(text, Loader=loader)  # noqa: S506  # the safe loader, in C where it is to be had
    except yaml.constructor.ConstructorError as error:
        if "python/" in str(error.problem):
            raise UnreadableFileError("has a Python-object tag, which is never constructed; record it anew") from None
        raise UnreadableFileError(f"has a tag that is not read{_line(error)}") from None
    except yaml.YAMLError as error:
        if "nesting depth" in str(getattr(error, "problem", "")):  # the limit of a libyaml that has one of its own
            raise UnreadableFileError("nests too deep to be read") from None
        raise UnreadableFileError(f"neither JSON nor YAML of one document{_line(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # Values that contradict their tags escape from PyYAML in many forms.
        raise UnreadableFileError("YAML with a value that does not fit its tag") from None


def _refuse_harm(text: str, loader: Any) -> None:
    """The C loader goes down without a limit and takes the process with it, and each merge may double the work; the
    parser of events does neither."""
    if _is_harmless(text):
        return
    import yaml

    depth = merges = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        merges += isinstance(event, yaml.ScalarEvent) and event.value == "<<"
        if depth > MAX_DEPTH:
            raise UnreadableFileError("nests too deep to be read")
        if merges > MAX_MERGES:
            raise UnreadableFileError(f"has more than {MAX_MERGES} merge keys, which no cassette has")


def _is_harmless(text: str) -> bool:
    """Whether *text* cannot nest deep, by what opens a level: a bracket, or a column of indentation. It spares the
    cassettes of most users a second parse."""
    if "<<" in text or text.count("[") + text.count("{") > _FEW:
        return False
    return max(map(len, _INDENT.findall(text)), default=0) <= MAX_DEPTH


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
