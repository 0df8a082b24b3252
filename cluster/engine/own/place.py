"""Where a locustfile of one's own runs: in its own directory, with what it brought."""

from __future__ import annotations

import os
import sys


def enter(directory: str, packages: str) -> None:
    """Make the directory the working directory, and import from it and from `packages`, the study's own first."""
    os.chdir(directory)
    sys.path.insert(1, directory)
    if packages:
        sys.path.append(packages)
