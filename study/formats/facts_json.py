"""What cluster/remote/facts.py prints about a host; the manifest keeps it.

facts.py is piped to hosts before anything is deployed and can't import this module: a test compares its keys with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from study.formats.registry import VOLATILE
from study.formats.units import Mebibytes, StoredUnit


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A host as the preflight looks at it. Limits: -1 is unlimited; None where the kernel doesn't tell.

    Reading an older manifest, a key that is missing has its default here.
    """

    hostname: str = ""
    system: str = ""
    """`Linux`, as uname has it."""
    kernel: str = ""
    boot_id: Annotated[str, VOLATILE] = ""
    """Another one after each start of the machine."""
    machine: str = ""
    """Architecture, as uname has it."""
    cpu: str = ""
    """The processor's model."""
    cores: tuple[int, ...] = ()
    """Numbers of the CPUs that a process may use there."""
    governor: str = ""
    """The CPU frequency governor; empty where the machine has none."""
    load_1min: Annotated[float, VOLATILE] = 0.0
    """Load average over one minute."""
    memory_mb: Mebibytes = 0
    memory_available_mb: Annotated[Mebibytes, VOLATILE] = 0
    disk_free_mb: Annotated[Mebibytes, VOLATILE] = 0
    """Where the study writes: in `directory`."""
    directory: Annotated[str, VOLATILE] = ""
    """The study's directory, or the nearest existing one above it."""
    writable: bool = True
    """Whether the user may write to `directory`."""
    python: str = ""
    """Version."""
    executable: Annotated[str, VOLATILE] = ""
    """Path of Python."""
    packages: Mapping[str, str | None] = field(default_factory=dict)
    """Versions; None where a package isn't installed."""
    fds_soft: int = 0
    """Limit of descriptors of one process."""
    fds_hard: int = 0
    processes_hard: int = 0
    """Limit of processes and threads of the user."""
    file_max: int | None = None
    """Limit of open files of the whole machine."""
    threads_max: int | None = None
    pid_max: int | None = None
    max_map_count: int | None = None
    """Limit of memory mappings of one process."""
    somaxconn: int | None = None
    """Limit of every accept queue."""
    tcp_tw_reuse: int | None = None
    """0: a port in TIME_WAIT is not reused; 1: it is; 2: on loopback."""
    ephemeral_ports: tuple[int, ...] = ()
    """First and last local port that a connection can be given."""
    ports: Annotated[Mapping[str, str], VOLATILE] = field(default_factory=dict)
    """By port that was tried: why nobody can listen on it, empty where somebody can."""
    clock: Annotated[float, StoredUnit("s"), VOLATILE] = 0.0
    """Unix time on the host."""
    clock_s: Annotated[tuple[float, float], StoredUnit("s"), VOLATILE] = (0.0, 0.0)
    """Least and most that the host's clock is ahead of the control machine's; added by the control machine."""
