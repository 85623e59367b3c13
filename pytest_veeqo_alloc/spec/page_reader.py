"""A reader of the documentation page: text as copied from a browser, HTML, or an OpenAPI document."""

from __future__ import annotations

import codecs
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, NamedTuple

from pytest_veeqo_alloc.capture.documents import UnreadableFileError, parse_document
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper
from pytest_veeqo_alloc.spec.loader import tables
from pytest_veeqo_alloc.spec.page import PATH_PARAMETER, Page, PageField, openapi_page, schema_page, with_implied

_METHODS = "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS"
_OPERATION = re.compile(rf"({_METHODS}) ((?:https?://\S+|/)\S*)")
_LOCATIONS = {f"{location.capitalize()} Parameters": location for location in ("path", "query", "header", "cookie")}
_REQUEST, _RESPONSES, _HEADERS, _EXAMPLE = "Request Body", "Responses", "Headers", "Example"
_STATUS = re.compile(r"[1-5](?:[0-9]{2}|XX)")
_TYPE = re.compile(r"(?:string|number|integer|boolean|object|[Aa]rray)(?:<[\w-]+>)?(?: or null)?")
_NAME = re.compile(r"[a-z_][A-Za-z0-9_]*")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_PARAMETER_NAME = re.compile(r"[A-Za-z][\w.\[\]-]*")
_OPENAPI = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{|---|(?:openapi|swagger)\b)")
_MAX_WORDS = 20_000
_SAVE = "save the whole page again, as text"
_REQUIRED = "required"


def read_page(data: bytes) -> Page:
    """Return the content of a page: text as copied from a browser, HTML, or OpenAPI. Raise ValueError on failure."""
    try:
        is_openapi = _OPENAPI.match(data) is not None
        return with_implied(openapi_page(parse_document(data)[0]) if is_openapi else _text_page(_lines(_text(data))))
    except UnreadableFileError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("the file is nested too deeply to be this page") from None


def _text(data: bytes) -> str:
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if text.lstrip().startswith("<"):
        reader = _TextOfHTML()
        reader.feed(text)
        text = "".join(reader.parts)
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))


class _TextOfHTML(HTMLParser):
    """An HTML parser that collects the visible text in `parts`. Outside `pre` and `code`, each text becomes a line."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style", "template")
        self._verbatim += tag in ("pre", "code")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "template")
        self._verbatim -= tag in ("pre", "code")
        self.parts.append("" if self._verbatim else "\n")

    def handle_data(self, data: str) -> None:
        if self._hidden <= 0:
            self.parts.append(data if self._verbatim > 0 else f"{' '.join(data.split())}\n")


def _lines(text: str) -> list[str]:
    """Split *text* at line breaks and tabs. Also split a line that is a name with its type: `id number required`."""
    cells = (cell.split() for line in text.splitlines() for cell in line.split("\t"))
    split = (words if all(map(_is_mark, words[1:])) else [" ".join(words)] for words in cells)
    return list(itertools.chain.from_iterable(split))


def _text_page(lines: list[str]) -> Page:
    lines = _operation_lines(lines)
    if _REQUEST not in lines or _RESPONSES not in lines[lines.index(_REQUEST) :]:
        raise ValueError(f"the page has no lines {_REQUEST!r} and {_RESPONSES!r}, so its layout is unknown: {_SAVE}")
    start = lines.index(_REQUEST)
    end = lines.index(_RESPONSES, start)
    page: Page = {}
    for index, line in enumerate(lines[:start]):
        if location := _LOCATIONS.get(line):
            section = itertools.takewhile(lambda line: line not in _LOCATIONS, lines[index + 1 : start])
            page |= {f"{location} parameter {name}": field for name, field in _typed_names(list(section))}
    page |= _table("request", *_split_at_example(lines[start + 1 : end]))
    statuses = [index for index, line in enumerate(lines) if index > end and _STATUS.fullmatch(line)]
    success = next((index for index in statuses if lines[index].startswith("2")), None)
    if success is None:
        raise ValueError(f"the page has no status 2xx after {_RESPONSES!r}, so its layout is unknown: {_SAVE}")
    table, example, rest = _split_at_example(lines[success + 1 :])
    if {_REQUEST, _RESPONSES, "object"} <= set(rest):
        raise ValueError("the file has the page twice: save the page once, as text")
    page |= {
        f"status {line}": PageField("")
        for line in [*lines[end : success + 1], *table, *rest]
        if _STATUS.fullmatch(line)
    }
    if _HEADERS in rest:
        section = itertools.takewhile(lambda line: not _STATUS.fullmatch(line), rest[rest.index(_HEADERS) + 1 :])
        page |= {f"response header {name}": field for name, field in _typed_names(list(section))}
    return page | _table("response", table, example, rest)


def _operation_lines(lines: list[str]) -> list[str]:
    """Return the lines about the documented operation. Raise ValueError if no line is about it."""
    ours = tables().operation
    pairs = enumerate(itertools.pairwise([*lines, ""]))
    matches = [
        (index, _OPERATION.fullmatch(line) or _OPERATION.fullmatch(f"{line} {after}")) for index, (line, after) in pairs
    ]
    found = [(index, match[1], match[2]) for index, match in matches if match]
    path = PATH_PARAMETER.sub("{}", ours.path)
    starts = [
        i for i, method, place in found if method == ours.method and PATH_PARAMETER.sub("{}", place).endswith(path)
    ]
    if starts:
        return lines[starts[0] : min((i for i, _, _ in found if i > starts[0] and i not in starts), default=None)]
    if found:
        raise ValueError(f"this is the page of '{found[0][1]} {found[0][2]}': give the page of '{ours.name}'")
    raise ValueError(f"no line names '{ours.name}', so this is not the page of the operation: {_SAVE}")


def _typed_names(lines: list[str]) -> Iterator[tuple[str, PageField]]:
    """Yield each name in *lines* that has a type, and the field: its type, and whether `required` stands beside it."""
    for index, line in enumerate(lines):
        marks = list(itertools.takewhile(_is_mark, lines[index + 1 : index + 3]))
        kinds = [mark for mark in marks if mark != _REQUIRED]
        if kinds and _PARAMETER_NAME.fullmatch(line) and not _is_mark(line):
            yield line, PageField(kinds[0], _REQUIRED in marks)


def _split_at_example(lines: list[str]) -> tuple[list[str], Any, list[str]]:
    """Return the lines of a table, the example after it (None if there is no example), and the lines after both."""
    start = lines.index("object") if "object" in lines else len(lines)
    ends = (
        i for i, line in enumerate(lines) if line in (_EXAMPLE, _HEADERS) or (i > start and _STATUS.fullmatch(line))
    )
    end = next(ends, len(lines))
    rest = lines[end:]
    if rest[:1] != [_EXAMPLE]:
        return lines[:end], None, rest
    text = "\n".join(itertools.dropwhile(lambda line: not line.startswith("{"), rest[1:]))
    try:
        example, stop = json.JSONDecoder().raw_decode(text)
    except ValueError:
        raise ValueError(f"an example on the page is not complete JSON, so the page was cut off: {_SAVE}") from None
    if nests_deeper(example, MAX_DEPTH):
        raise RecursionError
    return lines[:end], example, text[stop:].splitlines()


# A table is flat: `notes`, `number`, `string` may be a field `notes` of the type number and a field `string`, or a
# field `notes` without a type and a field `number`. No line ends a nested object either. So the reader compares the
# possible readings with the example on the page, and where that has no value, with the bundled schemas.

_PER_PLACE, _IN_ALL = 2, 8
"""How many readings to keep at each word: the limit for readings that are in the same object, and the total limit."""
_KINDS = {str: "string", bool: "boolean", dict: "object", list: "Array", type(None): ""}
_UNEXPECTED, _REPEATED, _UNSORTED, _COLLAPSED = 2.0, 1.5, 0.1, 0.5
"""The costs of a field that is unexpected, repeated or out of alphabetical order, and of an object without fields."""


class _Level(NamedTuple):
    """An object whose fields are being read. `unseen` has the names of its expected fields that have not occurred yet.

    `last` is the name of its latest field, or None if its fields are not in alphabetical order.
    """

    place: str
    unseen: frozenset[str]
    seen: frozenset[str] = frozenset()
    last: str | None = ""

    @property
    def cost_of_end(self) -> float:
        return len(self.unseen) if self.seen else min(len(self.unseen), _COLLAPSED)


class _Reading(NamedTuple):
    """One way to read the first words of a table. `fields` is (earlier `fields`, place, field), or None at first."""

    cost: float
    levels: tuple[_Level, ...]
    fields: Any = None


def _table(side: str, lines: list[str], example: Any, rest: list[str]) -> Page:
    """Return the fields in the table of a body. Raise ValueError if the table is unreadable, cut off or collapsed."""
    if side == "response" and example is None and not rest:
        raise ValueError(f"the table of the {side} has no end, so the page was cut off: {_SAVE}")
    if next(filter(_is_mark, lines), "") != "object":
        raise ValueError(f"the table of the {side} does not begin with 'object', so its layout is unknown: {_SAVE}")
    root, known = f"{side} ", schema_page()
    words = [line for line in lines[lines.index("object") + 1 :] if _NAME.fullmatch(line) or _is_mark(line)]
    if len(words) > _MAX_WORDS:
        raise ValueError(f"the table of the {side} has more than {_MAX_WORDS} lines, so this is not the page")
    page: Page = {}
    for place, field in _best_reading(words, root, _expected(root, example, known)):
        if place in page:
            raise ValueError(f"the table has the field {place} twice, so the file is not a faithful copy: {_SAVE}")
        page[place] = field
    shown = {place.rpartition("/")[0] for place in page}
    page_and_root = {**page, root: PageField("object")}
    for parent in dict.fromkeys(place.rpartition("/")[0] for place in known if place.startswith(root)):
        holder = page_and_root.get(parent.removesuffix("/*"), PageField(""))
        if holder.type in ("object", "Array<object>") and parent not in shown:
            raise ValueError(f"the table shows no field of {parent}: expand all objects on the page, and {_SAVE}")
    return page


def _is_mark(word: str) -> bool:
    return word == _REQUIRED or _TYPE.fullmatch(word) is not None


def _expected(root: str, example: Any, known: Page) -> dict[str, frozenset[str]]:
    """Map the place of each expected field to its types: in the example or, for objects that it lacks, in *known*."""
    found = _kinds(example, root) if isinstance(example, dict) else {}
    parents = {place.rpartition("/")[0] for place in found}
    for place, field in known.items():
        if place.startswith(root) and place.rpartition("/")[0] not in parents:
            found[place] = frozenset({field.type.partition("<")[0]})
    return found


def _kinds(value: dict[str, Any], place: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, member in value.items():
        here = f"{place}/{name}"
        inner = [(here, member)] if isinstance(member, dict) else []
        inner += [(f"{here}/*", item) for item in member if isinstance(item, dict)] if isinstance(member, list) else []
        kinds = [
            {here: frozenset({_KINDS.get(type(member), "number")})},
            *(_kinds(item, below) for below, item in inner),
        ]
        for deeper, more in itertools.chain.from_iterable(each.items() for each in kinds):
            found[deeper] = found.get(deeper, frozenset()) | more
    return found


def _best_reading(
    words: Sequence[str], root: str, expected: Mapping[str, frozenset[str]]
) -> list[tuple[str, PageField]]:
    """Return the fields in *words*, with their places, according to the reading that costs least."""
    names = _names_by_parent(expected)
    every_name = frozenset(itertools.chain.from_iterable(names.values()))
    readings: list[list[_Reading]] = [[] for _ in range(len(words) + 1)]
    readings[0].append(_Reading(0, (_Level(root, names.get(root, frozenset())),)))
    for index, name in enumerate(words):
        kept = _cheapest(readings[index])
        for length, field in _fields_at(words, index, every_name) if kept else ():
            for reading in kept:
                readings[index + length] += _placed(reading, name, field, expected, names)
    best = min(readings[-1], key=lambda reading: reading.cost + sum(level.cost_of_end for level in reading.levels))
    linked, fields = best.fields, []
    while linked is not None:
        linked, place, field = linked
        fields.append((place, field))
    return fields[::-1]


def _names_by_parent(places: Iterable[str]) -> dict[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for place in places:
        parent, _, name = place.rpartition("/")
        names.setdefault(parent, set()).add(name)
    return {parent: frozenset(group) for parent, group in names.items()}


def _cheapest(readings: list[_Reading]) -> list[_Reading]:
    kept: list[_Reading] = []
    places: Counter[str] = Counter()
    for reading in sorted(readings, key=lambda reading: reading.cost):
        place = reading.levels[-1].place
        if places[place] < _PER_PLACE and len(kept) < _IN_ALL:
            places[place] += 1
            kept.append(reading)
    return kept


def _fields_at(words: Sequence[str], index: int, names: Container[str]) -> Iterator[tuple[int, PageField]]:
    """Yield each field that can begin at the word at *index*, with the number of its words."""
    after = list(itertools.takewhile(_is_mark, words[index + 1 : index + 4]))
    if not after or after[0] in names or (len(after) > 1 and after[1] != _REQUIRED):
        yield 1, PageField("")  # the next word is a name, even if it is `number`
    for length in range(1, min(len(after), 2) + 1):
        kinds = [mark for mark in after[:length] if mark != _REQUIRED]
        if len(kinds) <= 1 and after[:length].count(_REQUIRED) <= 1:
            is_repeated = kinds == ["Array<object>"] and after[length : length + 1] == ["object"]
            yield 1 + length + is_repeated, PageField("".join(kinds), _REQUIRED in after[:length])


def _placed(
    reading: _Reading,
    name: str,
    field: PageField,
    expected: Mapping[str, frozenset[str]],
    names: Mapping[str, frozenset[str]],
) -> Iterator[_Reading]:
    """Yield a reading for each object that may contain the field: the current object, and the objects around it."""
    cost, levels = reading.cost, reading.levels
    is_expected = any(name in level.unseen for level in levels)
    for depth in range(len(levels) - 1, -1, -1):
        level = levels[depth]
        if name in level.unseen or depth == len(levels) - 1 or not is_expected:
            place = f"{level.place}/{name}"
            departure = _REPEATED if name in level.seen else _departure(expected.get(place), field.type)
            is_sorted = level.last is not None and name > level.last
            grown = _Level(level.place, level.unseen - {name}, level.seen | {name}, name if is_sorted else None)
            opened = {"object": place, "Array<object>": f"{place}/*"}.get(field.type)
            inner = (_Level(opened, names.get(opened, frozenset())),) if opened else ()
            total = cost + departure + _UNSORTED * (level.last is not None and not is_sorted)
            yield _Reading(total, (*levels[:depth], grown, *inner), (reading.fields, place, field))
        cost += level.cost_of_end


def _departure(kinds: frozenset[str] | None, kind: str) -> float:
    """Return the cost of a field of the type *kind* where a field of *kinds* is expected (None: no field)."""
    if kinds is None:
        return _UNEXPECTED
    word = kind.partition("<")[0].partition(" ")[0].replace("integer", "number")
    return 0 if word in kinds else 0.5 if kinds == {""} else 1
