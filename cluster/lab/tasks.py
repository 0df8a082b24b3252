"""`fab lab.up`, `fab lab.down`, `fab lab.inventory`: several hosts on this machine, to rehearse a campaign over SSH."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from fabric import task

from cluster.lab.machines import CONTROL, LOAD, TARGET, Lab
from study.exit_status import ExitStatus


@task
def up(c: Any) -> None:
    """Make a target, two load hosts and a control machine on this computer, without a network outside. Needs root."""
    lab = Lab()
    try:
        lab.up()
    except RuntimeError as error:
        print(f"fab: {error}", file=sys.stderr)
        sys.exit(ExitStatus.FAILED)
    binaries = Path(sys.executable).parent
    shell = f"cd {shlex.quote(str(Path.cwd()))} && PATH={shlex.quote(str(binaries))}:$PATH exec bash"
    print(f"{TARGET}, {', '.join(LOAD)} are up. This opens a shell on the control machine:")
    print(f"  {shlex.join(lab.command(CONTROL, ['bash', '-c', shell]))}")
    print(f"There, `ssh {TARGET}` works, and fab with --inventory {lab.inventory_file}. `fab lab.down` removes all.")


@task
def down(c: Any) -> None:
    """End and remove all that `fab lab.up` made."""
    Lab().down()


@task
def inventory(c: Any) -> None:
    """Print the lab's inventory."""
    print(Lab().inventory(), end="")
