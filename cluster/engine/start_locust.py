"""Starts Locust for a locustfile of one's own, as if in the locustfile's directory.

`python -m cluster.engine.start_locust DIRECTORY PACKAGES NAME Locust's options`; PACKAGES is where the locustfile's
requirements are, or empty.
"""

from __future__ import annotations

import os
import sys

import locust.main

from cluster.engine import shape_only  # before the locustfile's directory can hide the study's own packages
from cluster.engine.own.place import enter


def main() -> None:
    """Locust's own main, with its own options."""
    directory, packages, name, *options = sys.argv[1:]
    enter(directory, packages)
    sys.argv = ["locust", "-f", f"{shape_only.__file__},{os.path.join(directory, name)}", *options]
    locust.main.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
