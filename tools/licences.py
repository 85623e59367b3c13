"""List the licence of every installed dependency, and fail if one is not known to be permissive: `tox run -e licences`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement

PERMISSIVE = re.compile(
    r"\b(MIT|BSD|ISC|Apache|PSF|Python Software Foundation|MPL|Mozilla Public|Unlicense|0BSD|CC0|Zlib)\b", re.IGNORECASE
)


def dependencies(name: str, extras: set[str], seen: set[str]) -> Iterator[str]:
    """Yield *name* and, once each, the installed packages that it depends on, directly or not."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return  # a dependency for another system or Python
    seen.add(key)
    yield name
    for text in found.requires or []:
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield from dependencies(requirement.name, requirement.extras, seen)


def licence_of(name: str) -> str:
    """Return the licence in the metadata of *name*, as one line; empty if there is none."""
    metadata = distribution(name).metadata
    classifiers = [text for text in metadata.get_all("Classifier") or [] if text.startswith("License")]
    stated = [*(metadata.get_all("License-Expression") or []), *classifiers]
    return "; ".join(stated) or next(iter(metadata.get_all("License") or []), "").partition("\n")[0]


def main() -> int:
    """Print the list and return 1 if a licence is not known to be permissive, otherwise 0."""
    unknown = []
    for name in sorted(dependencies("pytest-veeqo-alloc", {"html"}, set()), key=str.lower):
        licence = licence_of(name)
        print(f"{name} {distribution(name).version}: {licence or 'no licence stated'}")
        if not PERMISSIVE.search(licence):
            unknown.append(name)
    if unknown:
        print(f"not known to be permissive: {', '.join(unknown)}")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
