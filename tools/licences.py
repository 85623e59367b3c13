"""Lists the licence of every package that ours brings along, and fails where one is not known to be permissive."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement

PERMISSIVE = re.compile(
    r"\b(MIT|BSD|ISC|Apache|PSF|Python Software Foundation|MPL|Mozilla Public|Unlicense|0BSD|CC0|Zlib)\b", re.IGNORECASE
)


def needed(name: str, extras: set[str], seen: set[str]) -> Iterator[str]:
    """*name* and everything that it needs here, each once."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return  # for another system or Python
    seen.add(key)
    yield name
    for text in found.requires or []:
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield from needed(requirement.name, requirement.extras, seen)


def licence_of(name: str) -> str:
    """What the package says of itself, in one line."""
    about = distribution(name).metadata
    classifiers = [each for each in about.get_all("Classifier") or [] if each.startswith("License")]
    said = [*(about.get_all("License-Expression") or []), *classifiers]
    return "; ".join(said) or next(iter(about.get_all("License") or []), "").partition("\n")[0]


def main() -> int:
    """Prints the list; 1 where a licence is not known to be permissive."""
    strange = []
    for name in sorted(needed("pytest-veeqo-alloc", {"html"}, set()), key=str.lower):
        licence = licence_of(name)
        print(f"{name} {distribution(name).version}: {licence or 'says nothing'}")
        if not PERMISSIVE.search(licence):
            strange.append(name)
    if strange:
        print(f"not known to be permissive: {', '.join(strange)}")
    return 1 if strange else 0


if __name__ == "__main__":
    sys.exit(main())
