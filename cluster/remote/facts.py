"""What a host is and what it allows: `python -m cluster.remote.facts` prints it as a JSON object. Changes nothing.

Standard library only and Python 3.7 syntax: this file is piped to hosts before anything is deployed, and a host whose
Python is too old must be able to report its version. The keys are those of study/formats/facts_json.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import socket
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("locust", "gevent", "geventhttpclient", "pyzmq", "hdrhistogram", "psutil")


def collect_facts(address: str, ports: tuple[int, ...], directory: Path) -> dict[str, Any]:
    """The facts that the preflight checks and the manifest keeps; keys and units as in study/formats/facts_json.py."""
    existing = _existing(directory)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "hostname": socket.gethostname(),
        "system": platform.system(),
        "kernel": platform.release(),
        "boot_id": _text("/proc/sys/kernel/random/boot_id"),
        "machine": platform.machine(),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": _cores(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load_1min": os.getloadavg()[0],
        "memory_mb": _meminfo("MemTotal"),
        "memory_available_mb": _meminfo("MemAvailable"),
        "disk_free_mb": shutil.disk_usage(existing).free // 2**20,
        "directory": str(existing),
        "writable": os.access(existing, os.W_OK | os.X_OK),
        "python": platform.python_version(),
        "executable": sys.executable,
        "packages": {name: _version(name) for name in PACKAGES},
        "fds_soft": soft,
        "fds_hard": hard,
        "processes_hard": resource.getrlimit(resource.RLIMIT_NPROC)[1],
        "file_max": _number("/proc/sys/fs/file-max"),
        "threads_max": _number("/proc/sys/kernel/threads-max"),
        "pid_max": _number("/proc/sys/kernel/pid_max"),
        "max_map_count": _number("/proc/sys/vm/max_map_count"),
        "somaxconn": _number("/proc/sys/net/core/somaxconn"),
        "tcp_tw_reuse": _number("/proc/sys/net/ipv4/tcp_tw_reuse"),
        "ephemeral_ports": [int(word) for word in _text("/proc/sys/net/ipv4/ip_local_port_range").split()],
        "ports": {str(port): _obstacle(address, port) for port in ports},
        "clock": time.time(),
    }


def _cores() -> list[int]:
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # no Linux: control may be a Mac
        return list(range(os.cpu_count() or 1))


def _existing(directory: Path) -> Path:
    """The directory itself, or the nearest one above it that exists."""
    directory = directory.expanduser().absolute()
    return next(path for path in (directory, *directory.parents) if path.is_dir())


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _number(path: str) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _field(path: str, name: str) -> str:
    for line in _text(path).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _meminfo(name: str) -> int:
    words = _field("/proc/meminfo", name).split()
    return int(words[0]) // 1024 if words else 0


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _obstacle(address: str, port: int) -> str:
    """Why no process can listen there; empty where one can."""
    try:
        family, _, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def accept_for(address: str, port: int, seconds: float, count: int) -> dict[str, Any]:
    """Listen for so many seconds or connections, and let others find out whether they can connect."""
    family, _, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    until = time.monotonic() + seconds
    accepted = 0
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(64)
        while accepted < count and time.monotonic() < until:
            listener.settimeout(max(0.01, until - time.monotonic()))
            try:
                listener.accept()[0].close()
                accepted += 1
            except OSError:
                break
    return {"accepted": accepted}


def connect_within(address: str, port: int, seconds: float) -> dict[str, Any]:
    """Why no connection can be opened, tried for so many seconds while nobody listens; empty where one can be."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((address, port), timeout=max(0.1, until - time.monotonic())).close()
            return {"obstacle": ""}
        except ConnectionRefusedError as error:
            refused = error.strerror or str(error)
        except OSError as error:
            return {"obstacle": error.strerror or str(error)}
        if time.monotonic() > until:
            return {"obstacle": refused}
        time.sleep(0.05)


def main() -> int:
    """Print the facts, or what came of `--accept` and `--connect`."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.facts", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1", help="where the ports would be bound")
    parser.add_argument("--port", type=int, action="append", default=[], help="a port that must be free")
    parser.add_argument("--directory", type=Path, default=Path(), help="where files will be written")
    parser.add_argument("--accept", type=float, help="listen on address and port for so many seconds instead")
    parser.add_argument("--connect", type=float, help="connect to address and port within so many seconds instead")
    parser.add_argument("--count", type=int, default=1, help="connections after which `--accept` ends")
    asked = parser.parse_args()
    if asked.accept is not None or asked.connect is not None:
        where = (asked.address, asked.port[0])
        answer = (
            connect_within(*where, asked.connect)
            if asked.accept is None
            else accept_for(*where, asked.accept, asked.count)
        )
        print(json.dumps(answer))
        return 0
    print(json.dumps(collect_facts(asked.address, tuple(asked.port), asked.directory)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
