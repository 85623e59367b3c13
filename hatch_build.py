"""Derives the metadata that has one source: project links and absolute links of the README follow from one address."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PAGES = {
    "Documentation": "docs/index.md",
    "Changelog": "CHANGELOG.md",
    "Security": "SECURITY.md",
    "Issues": "../issues",
}
# A link whose target is a file of the repository, and an image, which must be the file itself and not a page about it.
_RELATIVE = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)]+\))")
_IMAGE = re.compile(r"(!\[[^\]]*\]\()(?![a-z]+:|/)([^)]+\))")


class Metadata(MetadataHookInterface):
    """Fills in `urls` and `readme` from `home` in pyproject.toml's `[tool.hatch.metadata.hooks.custom]`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add links to *metadata*; without a public home there are none, and the README keeps its relative links."""
        home = str(self.config.get("home", "")).rstrip("/")
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        if home:
            text = _IMAGE.sub(rf"\g<1>{home}/raw/main/\g<2>", text)
            text = _RELATIVE.sub(rf"\g<1>{home}/blob/main/\g<2>", text)
            metadata["urls"] = {"Source": home} | {
                name: f"{home}/blob/main/{page}".replace("/blob/main/../", "/") for name, page in _PAGES.items()
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
