"""A disk that fills up in the middle of a campaign: one message, finished work whole, and the next fab goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import FAB, environment, write_plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount"),
]

# Runs in a mount namespace of its own, with a small file system as its working directory.
SCRIPT = """
set -u
out=$1; python=$2; shift 2
mount -t tmpfs -o size=230m tmpfs "$PWD" && cd "$PWD" && cp "$out/short.toml" . || exit 99
run() { name=$1; shift; "$@" >"$out/$name.out" 2>"$out/$name.err"; echo $? >"$out/$name.status"; }
( until ls results/latest/runs/*/run.json; do sleep 0.1; done; dd if=/dev/zero of=fill bs=64k
  until test -e "$out/full.status"; do dd if=/dev/zero of=fill bs=4k oflag=append conv=notrunc; sleep 0.2; done
) >/dev/null 2>&1 &
run full "$@" run-campaign --plan short.toml
wait
dd if=/dev/zero of=fill2 bs=4k 2>/dev/null
run still "$@" run-campaign --plan short.toml
run analysis "$python" -m analysis results/latest --no-figures
run elsewhere "$python" -m analysis results/latest --no-figures --out "$out/elsewhere"
cp results/latest/runs/*/run.json "$out/first.json"
rm fill fill2
run freed "$@" run-campaign --plan short.toml
mkdir "$out/runs" && for each in results/latest/runs/*; do cp "$each/run.json" "$out/runs/${each##*/}.json"; done
mount -o remount,ro "$PWD"
run readonly "$python" -m analysis results/latest --no-figures
run readonly-out "$@" analyze --out "$out/readonly"
"""


@pytest.mark.timeout(300)
def test_a_full_disk_is_one_message_and_costs_no_finished_run(tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    write_plan(out, client="http", users=[20], think=(0, 0), measure=1)
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", SCRIPT, "sh", str(out), sys.executable, *FAB]
    subprocess.run(argv, cwd=work, env=environment(), check=True, timeout=280)

    def told(name: str) -> tuple[int, str]:
        error = (out / f"{name}.err").read_text(encoding="utf-8")
        assert "Traceback" not in error + (out / f"{name}.out").read_text(encoding="utf-8"), error
        return int((out / f"{name}.status").read_text(encoding="ascii")), error

    for name, words in (
        ("full", "No space left on device"),
        ("still", "free some"),
        ("analysis", "No space left on device"),
        ("readonly", "can't be written to: --out DIR makes figures and tables elsewhere"),
    ):
        status, error = told(name)
        assert status == (2 if name == "readonly" else 1), error
        assert words in error
        assert len(error.splitlines()) <= 4, error
    for name in ("elsewhere", "readonly-out"):
        assert told(name)[0] == 0
    assert (out / "elsewhere" / "summary.md").is_file()
    assert (out / "readonly" / "report.html").is_file()
    first = json.loads((out / "first.json").read_text(encoding="utf-8"))
    assert first["state"] == "done"
    assert told("freed")[0] in (0, 3)
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in (out / "runs").iterdir()]
    assert sorted(run["state"] for run in runs) == ["done", "done"]
    assert first in runs
