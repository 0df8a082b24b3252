"""`python -m benchmarks.bare MODEL PORT`: run the bare twin of a model until it is killed."""

from __future__ import annotations

import importlib
import sys

from benchmarks.bare.common import listen

if __name__ == "__main__":
    name, port = sys.argv[1:]
    twin = importlib.import_module(f"benchmarks.bare.{name.replace('-', '_')}")
    twin.serve(listen(int(port)))
