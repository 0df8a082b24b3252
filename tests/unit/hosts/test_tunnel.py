"""The tunnel's command, and what ssh says when it is there."""

from pathlib import Path

from cluster.hosts import tunnel
from cluster.hosts.inventory import HostEntry


def test_the_tunnel_binds_loopback_on_both_sides_and_fails_rather_than_stay_without_it() -> None:
    host = HostEntry("load1", "ssh", destination="192.0.2.4", port=2222, user="me")
    argv = tunnel.command(Path("config"), host, 5557)
    assert argv[argv.index("-R") + 1] == "127.0.0.1:0:127.0.0.1:5557"
    assert "ExitOnForwardFailure=yes" in argv
    assert argv[argv.index("-F") + 1] == "config"
    assert argv[-6:] == ("-p", "2222", "-l", "me", "--", "192.0.2.4")


def test_the_port_is_the_one_that_the_host_chose() -> None:
    assert tunnel.allocated("banner\nAllocated port 33765 for remote forward to 127.0.0.1:5557\n") == 33765
    assert tunnel.allocated("Allocated") is None
