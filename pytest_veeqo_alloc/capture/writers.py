"""Writing files so that a reader, or a process that is killed, never sees half of one."""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.capture.readers import STAMP, Kind, values_by_header
from pytest_veeqo_alloc.core.formats import is_date_time
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response, reason_phrase

_READABLE = 0o644


def write_atomically(path: Path, text: str) -> None:
    """Puts *text* (UTF-8) in the place of the file *path*, whose mode it keeps; folders that are missing are made.

    A link stays a link: what it leads to is replaced. OSError where that cannot be done; then nothing has changed.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _READABLE
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


_EPOCH = "1970-01-01T00:00:00Z"


def cassette_text(interactions: Iterable[Interaction], stamp: Mapping[str, Any], *, comment: str = "") -> str:
    """A VCR cassette in YAML. *stamp* stands first, where a person sees it and vcrpy passes over it; *comment* goes
    above it."""
    document: dict[str, Any] = {STAMP: dict(stamp)} if stamp else {}
    document |= {"interactions": [_cassette_entry(each) for each in interactions], "version": 1}
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    import yaml  # not before there is YAML

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return lines + str(yaml.dump(document, Dumper=dumper, sort_keys=False, width=120, allow_unicode=False))


def render_redacted(kind: Kind, document: Any, interactions: Iterable[Interaction], *, as_json: bool) -> str:
    """The file *document* with *interactions* in the place of those that it holds.

    Only what an interaction tells is kept, and of the rest the stamp of a cassette and the times of a HAR file: what
    nobody has looked at could hold anything.
    """
    several = list(interactions)
    if kind == "interaction":
        return _json(interaction_document(several[0]))
    if kind == "har":
        return _json(_har(document, several))
    stamp = {name: value for name, value in _members(document, STAMP).items() if _is_stamp(name, value)}
    if as_json:
        stamped = {STAMP: stamp} if stamp else {}
        return _json({**stamped, "interactions": [_cassette_entry(each) for each in several], "version": 1})
    return cassette_text(several, stamp)


_STAMPED = {
    "recorded_on": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "host": re.compile(r"loopback|private|public"),
    "package": re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}"),
}


def _is_stamp(name: Any, value: Any) -> bool:
    return name in _STAMPED and isinstance(value, str) and _STAMPED[name].fullmatch(value) is not None


def _members(document: Any, name: str) -> Mapping[str, Any]:
    inner = document.get(name)
    return inner if isinstance(inner, dict) else {}


def _json(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8")


def _cassette_entry(each: Interaction) -> dict[str, Any]:
    request, response = each.request, each.response
    if request is None or response is None:
        raise ValueError("a cassette holds requests with their responses; one of them is missing")
    return {
        "request": {
            "method": request.method,
            "uri": request.url,
            "headers": values_by_header(request.headers),
            "body": _text(request.body),
        },
        "response": {
            "status": {"code": response.status, "message": reason_phrase(response.status)},
            "headers": values_by_header(response.headers),
            "body": {"string": _text(response.body) or ""},
        },
    }


def interaction_document(each: Interaction) -> dict[str, Any]:
    """*each* as it stands in a file of its own. UnicodeDecodeError for a body that is no text."""
    request, response = each.request, each.response
    return {
        "request": None
        if request is None
        else {"method": request.method, "url": request.url, **_message(request.headers, request.body)},
        "response": None
        if response is None
        else {"status": response.status, **_message(response.headers, response.body)},
    }


def _message(headers: Headers, body: bytes | None) -> dict[str, Any]:
    return {"headers": [list(pair) for pair in headers], "body": _text(body)}


def _har(document: Any, several: list[Interaction]) -> dict[str, Any]:
    entries = _members(document, "log").get("entries", [])
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "veeqo-alloc redact", "version": "1"},
            "entries": [_har_entry(old, each) for old, each in zip(entries, several, strict=True)],
        }
    }


def _har_entry(old: Any, each: Interaction) -> dict[str, Any]:
    started, time = old.get("startedDateTime"), old.get("time")
    return {
        "startedDateTime": started if isinstance(started, str) and is_date_time(started) else _EPOCH,
        "time": time if isinstance(time, (int, float)) else 0,
        "request": _har_request(each.request),
        "response": _har_response(each.response),
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    }


def _har_request(request: Request | None) -> dict[str, Any]:
    if request is None:
        raise ValueError("an entry of a HAR file has a request")
    about = {"method": request.method, "url": request.url, "httpVersion": "HTTP/1.1", "cookies": [], "queryString": []}
    body = {"mimeType": request.header("content-type") or "", "text": _text(request.body)}
    posted = {"postData": body} if request.body else {}
    return {**about, "headers": _named(request.headers), "headersSize": -1, "bodySize": -1, **posted}


def _har_response(response: Response | None) -> dict[str, Any]:
    # A browser notes status 0 for a request that nobody answered.
    status, headers, body = (response.status, response.headers, response.body) if response else (0, (), None)
    kind = (response.header("content-type") if response else None) or ""
    content = {"size": len(body or b""), "mimeType": kind} | ({} if body is None else {"text": _text(body)})
    about = {"status": status, "statusText": reason_phrase(status), "httpVersion": "HTTP/1.1", "cookies": []}
    return {
        **about,
        "headers": _named(headers),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
    }


def _named(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]
