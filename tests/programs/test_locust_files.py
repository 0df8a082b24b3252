"""CSV files of plain Locust runs, written by Locust itself against one of the servers here, whole and cut."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from analysis.__main__ import main
from tests.running import PROJECT, environment, free_ports, until

LOCUSTFILE = """
from locust import HttpUser, constant, task
class Visitor(HttpUser):
    wait_time = constant(0.1)
    @task
    def index(self):
        self.client.get("/")
    @task
    def about(self):
        self.client.get("/about?x=1", name="/about")
"""
USERS = 5
FIGURES = ("rps-over-time", "response-over-time", "rps-against-users")


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two prefixes: `plain`, and `full` with --csv-full-history."""
    directory = tmp_path_factory.mktemp("locust")
    (directory / "visit.py").write_text(LOCUSTFILE, encoding="utf-8")
    (port,) = free_ports(1)
    server = subprocess.Popen(
        [sys.executable, "-m", "servers", "thread", "--port", str(port)],
        cwd=PROJECT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: answers(port), 15, "the server answers")
        common = (
            "-f",
            "visit.py",
            "--headless",
            "-u",
            str(USERS),
            "-r",
            "10",
            "-t",
            "6s",
            "-H",
            f"http://127.0.0.1:{port}",
        )
        runs = [
            subprocess.Popen(
                [str(Path(sys.executable).with_name("locust")), *common, "--csv", prefix, *more],
                cwd=directory, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
            for prefix, more in (("plain", ()), ("full", ("--csv-full-history",)))
        ]  # fmt: skip
        for run in runs:
            _, said = run.communicate(timeout=60)
            assert run.returncode == 0, said
    finally:
        os.kill(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
    return directory


def test_a_directory_that_locust_wrote_gives_figures_and_a_summary(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(written)]) == 0
    out = capsys.readouterr().out
    assert "What such files can't say" in out
    assert "Percentiles over time are of everything since the start in plain:" in out
    made = written / "analysis"
    for name in FIGURES:
        assert (made / "figures" / f"{name}.svg").stat().st_size > 0
        assert (made / "figures" / f"{name}.png").stat().st_size > 0
    summary = pd.read_csv(made / "summary.csv")
    assert summary[["run", "name"]].to_numpy().tolist() == [
        [run, name] for run in ("full", "plain") for name in ("/", "/about", "Aggregated")
    ]
    totals = summary[summary["name"] == "Aggregated"].set_index("run")
    assert (totals["requests"] > 0).all()
    assert (totals["users_held"] == USERS).all()
    # No closed system gives more than N / Z; the counts are of whole seconds.
    assert (totals["rps_held"] <= 1.5 * USERS / 0.1).all()
    assert (totals["rps_held"] > 0).all()
    both = summary[summary["run"] == "full"]
    assert both.loc[both["name"] != "Aggregated", "requests"].sum() == totals.loc["full", "requests"]


def test_directories_have_names_and_cut_files_are_named(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for directory in (before, after):
        directory.mkdir()
        for path in written.glob("full_*.csv"):
            (directory / path.name).write_bytes(path.read_bytes())
    for size in (0, 3, 80, 250, 400):
        for name in ("full_stats.csv", "full_stats_history.csv"):
            (after / name).write_bytes((written / name).read_bytes()[:size])
            assert main([f"old={before}", f"new={after}", "--no-figures", "--out", str(tmp_path / "out")]) == 0
            said = capsys.readouterr()
            assert f"new: {name}:" in said.err
            assert f"new: {name}:" in said.out
            assert "| old | all |" in said.out
            (after / name).write_bytes((written / name).read_bytes())
    (after / "full_stats_history.csv").unlink()
    assert main([f"old={before}", f"new={after}", "--out", str(tmp_path / "out")]) == 0
    assert "new: full_stats_history.csv: can't be read" in capsys.readouterr().err


def test_what_is_none_or_has_one_name_twice_is_refused(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"a={written}", f"a={written}"]) == 2
    assert "name each directory" in capsys.readouterr().err
    assert main([str(written), str(tmp_path)]) == 2
    assert "no files of `locust --csv`" in capsys.readouterr().err
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "not a campaign" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
