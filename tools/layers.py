"""The parts of the package from the core outwards, and the picture of them: `tox run -e picture` makes it anew."""

from __future__ import annotations

from html import escape
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "docs" / "architecture.svg"
ORDER = [
    ("data",), ("contract",), ("description",), ("openapi",), ("story", "order_shapes", "observed", "orders"), ("redaction",),
    ("capture",), ("storage",), ("recorder",), ("listener",), ("api",), ("strategies",), ("live",), ("server",), ("reporting",), ("file_walk",), ("file_check", "file_redact", "serving"), ("recording",), ("conformance",),
    ("options", "watched", "told", "failure", "fixtures", "fixtures_cassette", "fixtures_live", "fixtures_server", "fixtures_conformance", "hooks", "live_plugin", "report_plugin", "summary", "plugin", "cli_contract", "cli_serve", "cli_report", "cli", "__main__"),
]  # fmt: skip
"""The parts from the core outwards; a part imports from those before it, and from others of its own row."""

_HINTS = {
    "data": "finds what ships",
    "contract": "what is right: pure, no file, no clock",
    "description": "the shipped schemas, compiled",
    "openapi": "the call as an OpenAPI document",
    "orders": "full orders from a few facts",
    "redaction": "takes out what may not be shown",
    "capture": "anything becomes an Interaction",
    "storage": "writes files in one move",
    "recorder": "notes what checks showed",
    "listener": "who hears of checks",
    "api": "Contract",
    "strategies": "for Hypothesis",
    "live": "the one way to write to a foreign server",
    "server": "the fake, the proxy",
    "reporting": "lines, JSON, GitHub, a page",
    "file_walk": "folders of files",
    "recording": "cassettes in use",
    "conformance": "the packaged suite",
}
_WIDTH, _ROW, _GAP, _CHARACTERS = 760, 46, 10, 88


def _lines(row: tuple[str, ...]) -> list[str]:
    """The names of a row, cut where a line is full."""
    lines = [""]
    for name in row:
        word = name if not lines[-1] else f", {name}"
        if len(lines[-1]) + len(word) > _CHARACTERS:
            lines[-1] += ","
            lines.append(name)
        else:
            lines[-1] += word
    return lines


def picture() -> str:
    """The rows as SVG, the core at the bottom: a part imports from the rows below it, and from its own."""
    top, boxes = 10, []
    for row in reversed(ORDER):
        lines = _lines(row)
        height = _ROW + 18 * (len(lines) - 1)
        boxes.append(f'<rect x="10" y="{top}" width="{_WIDTH - 20}" height="{height}" rx="6"/>')
        for number, line in enumerate(lines):
            boxes.append(f'<text x="24" y="{top + 28 + 18 * number}">{escape(line)}</text>')
        if hint := "; ".join(_HINTS[name] for name in row if name in _HINTS):
            boxes.append(f'<text class="hint" x="{_WIDTH - 24}" y="{top + 28}">{escape(hint)}</text>')
        top += height + _GAP
    style = (
        "rect{fill:#f3f5f8;stroke:#4d5560}text{font:14px monospace;fill:#1b1f24}"
        ".hint{font:13px sans-serif;fill:#4d5560;text-anchor:end}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img">'
        "<title>The parts of pytest-veeqo-alloc; each imports only from the rows below it</title>"
        f"<style>{style}</style>{''.join(boxes)}</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
