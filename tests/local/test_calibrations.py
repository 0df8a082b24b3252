"""A calibration is kept for the same hosts, client and connection mode; `fab calibrate` makes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.hosts.host import STATE
from tests.running import fab, write_plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

RUNS, KEPT = "calibrating: the generator", "the calibration for these hosts is kept"


def newest() -> Path:
    """The ledger of the calibration that was kept last."""
    ledgers = STATE.glob("*/calibration/*/runs/*/ledger.jsonl")
    return max(ledgers, key=lambda path: path.stat().st_mtime_ns)


def test_it_is_kept_until_it_is_made_anew(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, models=["thread"], users=[20], measure=2)
    made = fab(tmp_path, "calibrate", "--plan", str(plan))
    assert made.returncode == 0, made.stderr
    assert RUNS in made.stdout
    kept = newest().read_bytes()
    done = fab(tmp_path, "run-campaign", "--plan", str(plan))
    assert done.returncode in (0, 3), done.stderr  # 3: no step was valid, which a busy machine may cause
    assert KEPT in done.stdout
    assert RUNS not in done.stdout
    (ledger,) = (tmp_path / "results" / "latest" / "calibration").glob("runs/*/ledger.jsonl")
    assert ledger.read_bytes() == newest().read_bytes() == kept

    assert "kept of an earlier campaign" in fab(tmp_path, "plan", "--plan", str(plan)).stdout
    text = plan.read_text(encoding="utf-8")
    plan.write_text(text.replace('"lean"', '"fast"') + 'connection = "keep-alive"\n', encoding="utf-8")
    shown = fab(tmp_path, "plan", "--plan", str(plan)).stdout
    assert "calibration of the generator" in shown
    assert "kept of an earlier campaign" not in shown
    plan.write_text(text, encoding="utf-8")

    anew = fab(tmp_path, "calibrate", "--plan", str(plan))
    assert anew.returncode == 0, anew.stderr
    assert RUNS in anew.stdout
    assert newest().read_bytes() != kept
