"""The tunnel's command. tests/unit/hosts/test_openssh.py opens one."""

from pathlib import Path

from cluster.hosts import tunnel
from cluster.hosts.inventory import HostEntry


def test_the_tunnels_command_is_a_master_without_a_forward_of_its_own() -> None:
    host = HostEntry("load1", "ssh", destination="192.0.2.4", port=2222, user="me")
    argv = tunnel.command(Path("config"), host)
    assert not {"-R", "-L", "-D", "-f"} & set(argv)
    assert argv[argv.index("-F") + 1] == "config"
    assert argv[-6:] == ("-p", "2222", "-l", "me", "--", "192.0.2.4")
