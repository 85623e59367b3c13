"""A parser of untrusted JSON and YAML documents with limits, and nodes: values with their JSON Pointers."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.core.http import MAX_BYTES
from pytest_veeqo_alloc.core.json_pointer import join, mask_pointer
from pytest_veeqo_alloc.core.text import describe

MAX_DEPTH = 200
MAX_YAML = 64 * 1024 * 1024
"""The maximum size of a YAML document in bytes. A parsed document takes many times more memory."""

_MAX_BRACKETS = 500
_VALUE_BYTES = 200
"""The approximate memory for a value in bytes, without its text."""
_INDENT = re.compile(r"^[ ?:-]*", re.MULTILINE)
_LFS = b"version https://git-lfs.github.com/spec/"
_BRUNO = re.compile(rb"\s*meta\s*\{\s*name:")


class UnreadableFileError(Exception):
    """Raised for a file that cannot be read. The message does not name the file.

    If `is_relevant`, the file must be reported even if it does not mention the documented call.
    """

    is_relevant = False


class GitPointerError(UnreadableFileError):
    """Raised for a Git LFS pointer: a small file in place of the real file. The content of the real file is unknown."""

    is_relevant = True


class ForeignFormatError(UnreadableFileError):
    """Raised for a file in an unsupported format of another tool. *name* is a noun: "a Pact contract"."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: unsupported format")


class InvalidMemberError(ValueError):
    """Raised for a missing or invalid member of a document. The message names the member."""


@dataclass(frozen=True, slots=True)
class UnsupportedTag:
    """A placeholder for a YAML value with an unsupported tag, such as a Python object. It would be unsafe to load."""

    tag: str


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a document, and its JSON Pointer. If the document has no value there, `value` is None."""

    value: Any
    pointer: str = ""

    def get(self, *names: str) -> Node:
        """Return the node of the member at the path *names*. Raise InvalidMemberError if a parent is not an object."""
        node = self
        for name in names:
            node = Node(node.object().get(name), join(node.pointer, name))
        return node

    def object(self) -> dict[Any, Any]:
        """Return the value if it is an object. Otherwise, raise InvalidMemberError."""
        if not isinstance(self.value, dict):
            raise self.error("an object")
        return self.value

    def items(self) -> list[Node]:
        """If the value is an array, return a node for each item. Otherwise, raise InvalidMemberError."""
        if not isinstance(self.value, list):
            raise self.error("an array")
        return [Node(item, join(self.pointer, index)) for index, item in enumerate(self.value)]

    def text(self) -> str:
        """Convert a string, a number or bytes to a string. For any other value, raise InvalidMemberError."""
        if isinstance(self.value, bytes):
            return self.value.decode("latin-1")
        if isinstance(self.value, (str, int, float)) and not isinstance(self.value, bool):
            try:
                return str(self.value)
            except ValueError:
                raise self.error("a string") from None  # an integer with too many digits
        raise self.error("a string")

    def error(self, wanted: str) -> InvalidMemberError:
        """Return an error whose message says that the value must be *wanted*, a noun phrase such as "an object"."""
        place = mask_pointer(self.pointer) or "the document"
        if isinstance(self.value, UnsupportedTag):
            return InvalidMemberError(f"{place} has the unsupported YAML tag {self.value.tag!a}")
        if self.value is None:
            return InvalidMemberError(f"{place} is missing or null" if self.pointer else "the document is empty")
        return InvalidMemberError(f"{place} must be {wanted}, not {describe(self.value)}")


def walk(document: Any) -> Iterator[tuple[str, str, Any, Mapping[Any, Any]]]:
    """Yield the pointer, name, value and parent object of each scalar. Visit a value with several YAML aliases once."""
    seen: set[int] = set()
    stack: list[tuple[str, str, Any, Mapping[Any, Any]]] = [("", "", document, {})]
    while stack:
        pointer, name, value, parent = stack.pop()
        if not isinstance(value, (dict, list)):
            yield pointer, name, value, parent
        elif id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict):
                stack += [(join(pointer, str(key)), str(key), member, value) for key, member in value.items()]
            else:
                stack += [(join(pointer, index), name, item, parent) for index, item in enumerate(value)]


def parse_document(data: bytes) -> tuple[Any, bool]:
    """Parse *data*. Return the document, and whether it is JSON (false: YAML). Raise UnreadableFileError on failure."""
    if data.startswith(_LFS):
        raise GitPointerError("a Git LFS pointer, not the file itself: run git lfs pull")
    if _BRUNO.match(data):
        raise ForeignFormatError("a Bruno request")
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

    try:
        if _may_be_deep(text):
            _require_flat(yaml.parse(text, Loader=_loader()))
        loader = _loader()(text)  # a safe loader, in C if available
        try:
            if (root := loader.get_single_node()) is None:
                return None
            _require_bounded_aliases(root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        if "nesting depth" in str(getattr(error, "problem", "")):  # newer versions of libyaml have a limit of their own
            raise UnreadableFileError("nested too deeply") from None
        raise UnreadableFileError(f"neither valid JSON nor a single valid YAML document{_position(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # PyYAML raises many kinds of errors for values that contradict their tags.
        raise UnreadableFileError("YAML with a value that does not fit its tag") from None


@functools.cache
def _loader() -> Any:
    """Return a safe YAML loader that also supports tags of Ruby and Python strings. Other tags give UnsupportedTag."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("Loader", (base,), {})
    loader.add_constructor(None, _mark_unsupported)
    loader.add_constructor("!binary", base.construct_yaml_binary)
    for tag in ("unicode", "str"):
        loader.add_constructor(f"tag:yaml.org,2002:python/{tag}", base.construct_yaml_str)
    return loader


def _mark_unsupported(loader: Any, node: Any) -> UnsupportedTag:
    return UnsupportedTag(node.tag.replace("tag:yaml.org,2002:", "!!")[:80])


def _may_be_deep(text: str) -> bool:
    has_many_brackets = text.count("[") + text.count("{") > _MAX_BRACKETS
    return has_many_brackets or max(map(len, _INDENT.findall(text)), default=0) > MAX_DEPTH


def _require_flat(events: Any) -> None:
    """Raise UnreadableFileError for deep nesting, which could crash the C loader."""
    import yaml

    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise UnreadableFileError("nested too deeply")


def _require_bounded_aliases(root: Any) -> None:
    """Raise UnreadableFileError if YAML aliases and merge keys repeat values of more than `MAX_BYTES` bytes in total."""
    sizes: dict[Any, int] = {}  # of finished nodes, including what their aliases repeat
    written, started, stack = 0, set(), [root]
    while stack:
        if (node := stack[-1]) in sizes:
            stack.pop()
            continue
        parts = _parts_of(node)
        if node not in started:
            started.add(node)
            written += _own_size(node)
            stack += dict.fromkeys(part for part in parts if part not in sizes)
        elif all(part in sizes for part in parts):
            sizes[node] = _own_size(node) + sum(map(sizes.__getitem__, parts))
        else:
            raise _too_many_aliases()  # a node contains itself
    if sizes[root] - written > MAX_BYTES:
        raise _too_many_aliases()


def _parts_of(node: Any) -> list[Any]:
    """Return the nodes in *node*, a scalar, a sequence or a mapping of YAML."""
    if not isinstance(node.value, list):
        return []
    return [part for pair in node.value for part in pair] if node.id == "mapping" else node.value


def _own_size(node: Any) -> int:
    return _VALUE_BYTES + (len(node.value) if isinstance(node.value, str) else 0)


def _too_many_aliases() -> UnreadableFileError:
    return UnreadableFileError(f"YAML whose aliases repeat more than {MAX_BYTES // 1_000_000} MB, which is the maximum")


def _position(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: all(name in value for name in names)


def _within(member: str, *names: str) -> Callable[[Any], bool]:
    """Return a function that returns whether its argument's member *member* contains one of *names*."""
    return lambda value: isinstance(value.get(member), (dict, list)) and any(name in value[member] for name in names)


_WIREMOCK_REQUEST = _within(
    "request", "urlPath", "urlPattern", "urlPathPattern", "urlPathTemplate", "bodyPatterns", "queryParameters"
)
_WIREMOCK_RESPONSE = _within(
    "response", "jsonBody", "bodyFileName", "base64Body", "transformers", "proxyBaseUrl", "fixedDelayMilliseconds"
)
_WIREMOCK_MEMBERS = ("uuid", "persistent", "priority", "scenarioName", "requiredScenarioState", "newScenarioState")
_OBJECTS: Mapping[str, Callable[[Any], bool]] = {
    "a Pact contract": _has("consumer", "provider"),
    "a Postman collection": _has("info", "item"),
    "an Insomnia export": lambda value: "_type" in value or str(value.get("type")).startswith("collection.insomnia"),
    "a Bruno collection": lambda value: "opencollection" in value or "brunoConfig" in value or "bruno" in value,
    "a Hoverfly simulation": _within("data", "pairs"),
    "a Mountebank configuration": lambda value: "imposters" in value or _has("protocol", "stubs")(value),
    "a Mockoon environment": _has("lastMigration", "routes"),
    "a go-vcr cassette": lambda value: _is_go_vcr(value.get("interactions")),
    "a WireMock mapping": lambda value: (
        isinstance(value.get("mappings"), list)
        or _WIREMOCK_REQUEST(value)
        or _WIREMOCK_RESPONSE(value)
        or (_has("request", "response")(value) and not value.keys().isdisjoint(_WIREMOCK_MEMBERS))
    ),
    "a MockServer expectation": _has("httpRequest"),
}
_ITEMS: Mapping[str, Callable[[Any], bool]] = {
    "a WireMock mapping": _OBJECTS["a WireMock mapping"],
    "a MockServer expectation": _OBJECTS["a MockServer expectation"],
    "a nock recording": _has("scope", "method", "path"),
    "an ExVCR cassette": _within("response", "status_code"),
    "a PHP-VCR cassette": lambda value: _within("request", "url")(value) and _within("response", "status")(value),
}


def _is_go_vcr(entries: Any) -> bool:
    entry = entries[0] if isinstance(entries, list) and entries else None
    return isinstance(entry, dict) and _within("request", "url")(entry) and _within("response", "code")(entry)


def foreign_format(document: Any) -> str:
    """Return the name of *document*'s format if it is known but unsupported, otherwise an empty string."""
    tests = _OBJECTS
    if isinstance(document, list) and document:
        document, tests = document[0], _ITEMS
        if isinstance(document, UnsupportedTag) and document.tag.startswith("!ruby/struct:VCR"):
            return "a cassette of VCR 1 for Ruby"
    return next((name for name, test in tests.items() if test(document)), "") if isinstance(document, dict) else ""
