"""Writers of cassettes, interaction files and HAR files, and a function that replaces a file atomically."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.capture.readers import RUBY, STAMP, Kind, values_by_header
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response, reason_phrase
from pytest_veeqo_alloc.core.text import is_date_time

_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", os.O_RDONLY)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_EPOCH = "1970-01-01T00:00:00Z"
_RECORDED_AT = re.compile(
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}"
)
_ALLOWED_STAMP = {
    "recorded_on": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "host": re.compile(r"loopback|private|public"),
    "package": re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}"),
}


def leads_out(path: str | Path, folder: str | Path) -> bool:
    """Return whether *path*, a path in *folder*, names a file outside of *folder* because of a link."""
    root = os.path.realpath(folder)
    try:
        return os.path.commonpath([root, os.path.realpath(path)]) != root
    except ValueError:  # another drive
        return True


def require_writable(path: Path) -> None:
    """Raise OSError if no file can be created in the folder of *path*, or in the nearest folder above that exists."""
    target = Path(os.path.realpath(path))
    with tempfile.TemporaryFile(dir=next(parent for parent in target.parents if os.path.lexists(parent))):
        pass


def write_atomically(path: Path, text: str, *, folder: str | Path | None = None) -> None:
    """Replace the content of the file *path* with *text*. Create missing folders. On OSError, the old content is kept.

    An existing file keeps its mode, and the mode of a new file follows the umask. If *folder* is given, raise OSError if a
    link leads out of it, even if another process makes the link during this call.
    """
    target = os.path.realpath(path)
    root = os.path.dirname(target) if folder is None else os.path.realpath(folder)
    if leads_out(target, root):
        raise OSError(errno.ELOOP, "a link leads out of the folder")
    os.makedirs(root, exist_ok=True)
    *folders, name = os.path.relpath(target, root).split(os.sep)
    with ExitStack() as stack:
        where, prefix = _enter_folder(root, folders, stack)
        _replace(f"{prefix}{name}", f"{prefix}.{name[:100]}.{uuid.uuid4().hex}.tmp", text, where)


def _enter_folder(root: str, folders: list[str], stack: ExitStack) -> tuple[int | None, str]:
    """Create and open *folders*, each in the previous one, and follow no link. Return a handle and a prefix for paths."""
    if os.open not in os.supports_dir_fd:  # Windows
        os.makedirs(os.path.join(root, *folders), exist_ok=True)
        return None, os.path.join(root, *folders, "")
    handle = os.open(root, _FOLDER)
    stack.callback(os.close, handle)
    for name in folders:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=handle)
        handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
        stack.callback(os.close, handle)
    return handle, ""


def _replace(name: str, temporary: str, text: str, where: int | None) -> None:
    mode = None
    with suppress(FileNotFoundError):
        mode = os.stat(name, dir_fd=where, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file")
    handle = os.open(temporary, _NEW_FILE, 0o666, dir_fd=where)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode), dir_fd=where)
        os.replace(temporary, name, src_dir_fd=where, dst_dir_fd=where)
    except BaseException:
        os.unlink(temporary, dir_fd=where)
        raise


def render_redacted(kind: Kind, document: Any, redacted: Sequence[Interaction], *, as_json: bool) -> str:
    """Return the text of a file of this *kind* with the interactions *redacted*.

    The times and the data about the recording are those of *document*, the original. Raise ValueError if an interaction
    cannot be written.
    """
    if kind == "interaction":
        rendered = interaction_document(redacted[0])
    elif kind == "har":
        entries = [_har_entry(*pair) for pair in zip(document["log"]["entries"], redacted, strict=True)]
        creator = {"name": "veeqo-alloc redact", "version": "1"}
        rendered = {"log": {"version": "1.2", "creator": creator, "entries": entries}}
    elif RUBY in document:
        entries = [_ruby_entry(*pair) for pair in zip(document[RUBY] or (), redacted, strict=True)]
        rendered = {RUBY: entries, "recorded_with": "veeqo-alloc redact"}
        if not as_json:
            return f"---\n{_yaml(rendered)}"
    else:
        stamp = _allowed_stamp(document.get(STAMP))
        if not as_json:
            return cassette_text(redacted, stamp)
        rendered = _cassette_document(redacted, stamp)
    return json.dumps(rendered, indent=2) + "\n"


def _allowed_stamp(stamp: Any) -> dict[str, str]:
    values = stamp if isinstance(stamp, dict) else {}
    texts = {name: value for name, value in values.items() if name in _ALLOWED_STAMP and isinstance(value, str)}
    return {name: text for name, text in texts.items() if _ALLOWED_STAMP[name].fullmatch(text)}


def cassette_text(interactions: Iterable[Interaction], stamp: Mapping[str, Any], *, comment: str = "") -> str:
    """Return a VCR cassette as YAML text: *comment*, *stamp* (data about the recording) and *interactions*."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return lines + _yaml(_cassette_document(interactions, stamp))


def _yaml(document: Any) -> str:
    import yaml  # imported only if YAML is written

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(document, Dumper=dumper, sort_keys=False, width=120, allow_unicode=False))


def _cassette_document(interactions: Iterable[Interaction], stamp: Mapping[str, Any]) -> dict[str, Any]:
    stamped = {STAMP: dict(stamp)} if stamp else {}
    return {**stamped, "interactions": [_cassette_entry(interaction) for interaction in interactions], "version": 1}


def _cassette_entry(interaction: Interaction) -> dict[str, Any]:
    request, response = _both(interaction)
    sent, received = values_by_header(request.headers), values_by_header(response.headers)
    status = {"code": response.status, "message": reason_phrase(response.status)}
    return {
        "request": {"method": request.method, "uri": request.url, "headers": sent, "body": _text(request.body)},
        "response": {"status": status, "headers": received, "body": {"string": _text(response.body) or ""}},
    }


def _both(interaction: Interaction) -> tuple[Request, Response]:
    if interaction.request is None or interaction.response is None:
        raise ValueError("a request or response is missing; a cassette requires both")
    return interaction.request, interaction.response


def _ruby_entry(original: Any, interaction: Interaction) -> dict[str, Any]:
    request, response = _both(interaction)
    recorded = str(original.get("recorded_at"))
    body, content = ({"encoding": "UTF-8", "string": _text(side.body) or ""} for side in (request, response))
    sent = {"method": request.method.lower(), "uri": request.url, "body": body}
    status = {"code": response.status, "message": reason_phrase(response.status)}
    return {
        "request": {**sent, "headers": values_by_header(request.headers)},
        "response": {"status": status, "headers": values_by_header(response.headers), "body": content},
        "recorded_at": recorded if _RECORDED_AT.fullmatch(recorded) else _EPOCH,
    }


def interaction_document(interaction: Interaction) -> dict[str, Any]:
    """Return *interaction* as an interaction file stores it. Raise UnicodeDecodeError if a body is not UTF-8."""
    request, response = interaction.request, interaction.response
    return {
        "request": request and {"method": request.method, "url": request.url, **_headers_and_body(request)},
        "response": response and {"status": response.status, **_headers_and_body(response)},
    }


def _headers_and_body(message: Request | Response) -> dict[str, Any]:
    return {"headers": [list(pair) for pair in message.headers], "body": _text(message.body)}


def _har_entry(original: Any, interaction: Interaction) -> dict[str, Any]:
    # Browsers write the status 0 if there is no response.
    request, response = interaction.request, interaction.response or Response(0)
    if request is None:
        raise ValueError("a request is missing; an entry of a HAR file requires it")
    started, time = original.get("startedDateTime"), original.get("time")
    unknown: dict[str, Any] = {"httpVersion": "HTTP/1.1", "cookies": [], "headersSize": -1, "bodySize": -1}
    call = {"method": request.method, "url": request.url, "queryString": [], "headers": _har_headers(request.headers)}
    code = response.status
    answer = {"status": code, "statusText": reason_phrase(code), "headers": _har_headers(response.headers)}
    sent = {"mimeType": request.header("content-type") or ""}
    if request.is_body_known:
        sent["text"] = _text(request.body) or ""
    received = {"size": len(response.body or b""), "mimeType": response.header("content-type") or ""}
    if response.body is not None:
        received["text"] = _text(response.body) or ""
    elif not response.is_body_known:
        received["size"] = -1
    return {
        "startedDateTime": started if isinstance(started, str) and is_date_time(started) else _EPOCH,
        "time": time if isinstance(time, (int, float)) else 0,
        "request": {**call, **unknown, **({"postData": sent} if request.body or not request.is_body_known else {})},
        "response": {**answer, "content": received, "redirectURL": "", **unknown},
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    }


def _har_headers(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8")
