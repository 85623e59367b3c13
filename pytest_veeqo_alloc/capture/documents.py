"""Text to a document: JSON or else YAML, read so that no content can harm the reader."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from pytest_veeqo_alloc.core.http import CodingError, Headers

MAX_DEPTH, MAX_MERGES = 200, 10
MAX_YAML = 64 * 1024 * 1024
"""Bytes of YAML that are read; a parsed document takes many times as much memory."""

_FEW = 500
_INDENT = re.compile(r"^[ ?:-]*", re.MULTILINE)

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableFileError(Exception):
    """A file that cannot be read as what it is, in one sentence without the file's name."""


def parse(data: bytes) -> tuple[Any, bool]:
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
    try:
        _refuse_harm(text)
        return yaml.load(text, Loader=_LOADER)  # noqa: S506  # the safe loader, in C where it is to be had
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


def _refuse_harm(text: str) -> None:
    """The C loader goes down without a limit and takes the process with it, and each merge may double the work; the
    parser of events does neither."""
    if _is_harmless(text):
        return
    depth = merges = 0
    for event in yaml.parse(text, Loader=_LOADER):
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


MAX_NODES = 1_000_000


def body_bytes(message: Mapping[str, Any]) -> bytes | None:
    """The body of an interaction file's request or response: `body` as text, or `body_base64`; None for neither."""
    if (encoded := message.get("body_base64")) is not None:
        return base64.b64decode(encoded, validate=True)
    text = message.get("body")
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError("body is text; a JSON body is written as a string")
    return text.encode("utf-8", "surrogatepass")


def text_of(value: Any) -> str:
    """Text, or bytes of a header as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def raw(body: Any) -> bytes | None:
    """A cassette's body: text, bytes, or for some clients the value that was sent as JSON."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if _nodes_beyond(body, MAX_NODES):
        raise CodingError(f"aliases that unfold to more than {MAX_NODES:,} values")
    return json.dumps(body).encode()


def _nodes_beyond(value: Any, limit: int) -> bool:
    stack = [value]
    while stack:
        limit -= 1
        if limit < 0:
            return True
        inner = stack.pop()
        if isinstance(inner, (dict, list)):
            stack.extend(inner.values() if isinstance(inner, dict) else inner)
    return False


def pairs(message: Mapping[str, Any]) -> Headers:
    """The headers of an interaction file: a list of pairs."""
    return tuple((text(name), text(value)) for name, value in message.get("headers") or ())


def named(message: Mapping[str, Any]) -> Headers:
    """The headers of a HAR file: a list of objects with name and value."""
    return tuple((text(header["name"]), text(header["value"])) for header in message.get("headers") or ())


def mapped(message: Mapping[str, Any]) -> Headers:
    """The headers of a cassette: an object whose values are lists, or single ones."""
    return tuple(
        (text(name), text(value))
        for name, values in (message.get("headers") or {}).items()
        for value in (values if isinstance(values, list) else [values])
    )


def grouped(headers: Headers) -> dict[str, list[str]]:
    """Header pairs as a cassette has them: lists of values by name."""
    groups: dict[str, list[str]] = {}
    for name, value in headers:
        groups.setdefault(name, []).append(value)
    return groups


def text(value: Any) -> str:
    """A scalar as text; TypeError for anything else."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError("text is due")


def status_code(value: Any) -> int:
    """A status code; TypeError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 999:
        raise TypeError("a status is a number of three digits")
    return value
