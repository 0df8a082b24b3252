"""The kernel's network counters; `python -m cluster.remote.kernel` prints them as JSON. Standard library only."""

from __future__ import annotations

import json
from pathlib import Path

OPENED = "Tcp.PassiveOpens"  # connections that any program in this network namespace accepted since boot


def kernel_counters() -> dict[str, int]:
    """/proc/net/snmp and /proc/net/netstat by `Group.Name`, since boot, of this network namespace alone."""
    counters = {}
    for path in ("/proc/net/snmp", "/proc/net/netstat"):
        lines = Path(path).read_text(encoding="ascii").splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            group, _, rest = names.partition(":")
            for name, value in zip(rest.split(), values.partition(":")[2].split(), strict=True):
                counters[f"{group}.{name}"] = int(value)
    return counters


if __name__ == "__main__":
    print(json.dumps(kernel_counters()))
