"""The live page's server over real sockets, on campaigns made up for the purpose: what it says, and whom it refuses."""

from __future__ import annotations

import csv
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.show.page.live_page import LivePage, judge_sealed, named
from cluster.show.page.watched_campaign import WatchedCampaign
from study.errors import UsageError
from study.formats.csv_rows import RowWriter
from study.formats.json_files import write_json
from study.formats.live_json import LiveFigures, second_row
from study.layout import CampaignFiles
from tests.unit.synthetic import plan, write_campaign

ASKED = plan(models=["single", "thread"], users=[100, 200], aa=False, return_step=False)
FIRST, SECOND = (run.directory for run in ASKED.runs())


@dataclass(frozen=True)
class JudgedStep:
    step: int
    verdict: str = "overload"
    rps: float | None = 30.0
    reasons: tuple[str, ...] = ("the accept queue was full", "<b>CPU</b>")

    def __str__(self) -> str:
        return f"step {self.step}: {self.verdict}"


def figures(at: float, **more: Any) -> LiveFigures:
    values: dict[str, Any] = {"step": 1, "kind": "ladder", "phase": "measure", "users": 100, "rps": 33.0} | more
    return LiveFigures(time=at, running=100, requests=40, failures=1, p50_ms=3.9, p99_ms=8.0, lag_p99_ms=0.5, **values)


def begin_run(files: CampaignFiles, rows: int) -> None:
    """The second run goes on: it has running figures, and neither run.json nor a whole ledger."""
    run = files.run(SECOND)
    run.state.unlink()
    now = time.time()
    with run.seconds.open("w", encoding="utf-8", newline="") as stream:
        writer = RowWriter(stream, type(second_row(figures(0.0))))
        for second in range(rows):
            writer.write(second_row(figures(now - rows + second)))
    write_json(run.live, asdict(figures(now)))


@pytest.fixture
def files(tmp_path: Path) -> CampaignFiles:
    return write_campaign(tmp_path / "made-up-1", ASKED)


@contextmanager
def serving(*directories: Path) -> Iterator[tuple[int, dict[str, WatchedCampaign]]]:
    """Serve campaigns; yields the port."""
    campaigns = named(directories)
    with LivePage(campaigns) as page:
        yield int(page.address.rstrip("/").rpartition(":")[2]), campaigns


def ask(port: int, path: str, host: str = "", method: str = "GET") -> tuple[int, dict[str, str], str]:
    """Status, headers and body; the path goes out as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def state(port: int, name: str = "made-up-1") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(port, f"/campaign/{name}/state")[2])
    return found


def streamed(port: int, wanted: str) -> dict[str, list[Any]]:
    """The events that a page which connects now is sent, up to the first of that name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/campaign/made-up-1/events")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
    events: dict[str, list[Any]] = {}
    while wanted not in events:
        name = answer.readline().decode().removeprefix("event: ").strip()
        events.setdefault(name, []).append(json.loads(answer.readline().decode().removeprefix("data: ")))
        answer.readline()
    connection.close()
    return events


def ledger_counts(files: CampaignFiles, run: str, step: int) -> tuple[int, int]:
    lines = [json.loads(line) for line in files.run(run).ledger.read_text(encoding="utf-8").splitlines()]
    window = [line for line in lines if (line.get("step"), line.get("phase")) == (step, "measure")]
    return sum(line["attempts"] for line in window), sum(line["attempts"] - line["successes"] for line in window)


def test_the_counts_are_the_ledgers_and_a_run_that_goes_on_has_its_seconds(files: CampaignFiles) -> None:
    begin_run(files, rows=30)
    with serving(files.directory) as (port, campaigns):
        campaigns["made-up-1"].judged(FIRST, [JudgedStep(1), JudgedStep(2)])
        shown = state(port)
        for _ in range(2):  # the second is a page that was loaded again
            events = streamed(port, "now")
            assert events["campaign"][0]["runs"] == shown["runs"]
            (series,) = events["series"]
            assert series["run"] == SECOND
            assert len(series["seconds"]["rps"]) == 30
            assert series["seconds"]["p99_ms"][-1] == 8.0
            assert {each["host"] for each in series["samples"]} == {"target", "load1"}
            assert events["now"][0]["live"]["rps"] == 33.0
            assert events["now"][0]["left"]
    first, second = shown["runs"]
    assert (first["status"], second["status"], shown["current"]) == ("done", "running", f"block 1, {second['label']}")
    for step in ("1", "2"):
        counts = first["steps"][step]
        assert (counts["requests"], counts["failures"]) == ledger_counts(files, FIRST, int(step))
        assert counts["complete"]
    assert first["verdicts"][0]["reasons"] == ["the accept queue was full", "<b>CPU</b>"]


def test_a_step_is_shown_once_the_records_of_all_workers_have_come(files: CampaignFiles) -> None:
    begin_run(files, rows=1)
    ledger = files.run(SECOND).ledger
    lines = ledger.read_text(encoding="utf-8").splitlines(keepends=True)
    last = max(at for at, line in enumerate(lines) if '"measure"' in line)
    ledger.write_text("".join(lines[:last]) + lines[last][:100], encoding="utf-8")  # its last record is being written
    (watched,) = named([files.directory]).values()
    run = watched.runs[1]
    with watched.looked():
        assert (run.counted(1), run.counted(2)) == (True, False)
    ledger.write_text("".join(lines[: last + 1]), encoding="utf-8")
    run.refresh()
    assert run.counted(2)
    assert run.steps[2].requests == ledger_counts(files, SECOND, 2)[0]
    ledger.write_text(lines[0], encoding="utf-8")  # the run is begun again
    run.refresh()
    assert run.steps == {}


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "evil.example", "evil.example:{port}", "[::1]:{port}"])
def test_a_request_for_another_host_is_refused(files: CampaignFiles, host: str) -> None:
    with serving(files.directory) as (port, _):
        for path in ("/", "/metrics", "/campaign/made-up-1/state"):
            status, headers, body = ask(port, path, host.format(port=port))
            assert (status, "single" in body) == (403, False)
            assert "default-src 'none'" in headers["content-security-policy"]
        assert ask(port, "/metrics", f"localhost:{port}")[0] == 200


def test_only_files_that_are_known_by_name_are_served(files: CampaignFiles, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret", encoding="utf-8")
    (files.directory / "files").mkdir()
    (files.directory / "files" / "own.body").write_text("secret", encoding="utf-8")
    files.steps.symlink_to(tmp_path / "secret.csv")
    files.report.write_text("<p>a report</p>", encoding="utf-8")
    at = "/campaign/made-up-1/"
    with serving(files.directory) as (port, _):
        for path in (
            *("files/own.body", "steps.csv", "../secret.csv", "%2e%2e/secret.csv", "runs/..%2f..%2f..%2fsecret.csv"),
            *("runs/../plan.toml", f"runs/{FIRST}/../../../secret.csv", "figures", "/etc/passwd", "%2fetc%2fpasswd"),
            *(f"runs/{FIRST}/logs/..%2frun.json", "plan.toml%00", ""),
        ):
            status, _, body = ask(port, at + path)
            assert "secret" not in body, path
            assert "root:" not in body, path
            assert (status == 404) == bool(path), path
        status, headers, body = ask(port, f"{at}runs/{FIRST}/ledger.jsonl")
        assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert body == files.run(FIRST).ledger.read_text(encoding="utf-8")
        status, headers, body = ask(port, f"{at}report.html")
        assert (status, body) == (200, "<p>a report</p>")
        assert headers["content-security-policy"].startswith("sandbox ")  # it may come from elsewhere
        assert ask(port, f"{at}plan.toml", method="POST")[0] == 405
        assert ask(port, f"{at}state", method="DELETE")[0] == 405


def test_a_page_allows_nothing_from_elsewhere_and_escapes_names(tmp_path: Path) -> None:
    directory = tmp_path / "<script>alert(1)<"
    write_campaign(directory, ASKED)
    write_campaign(tmp_path / "other", ASKED)
    with serving(directory, tmp_path / "other") as (port, _):
        for path in ("/", "/campaign/%3Cscript%3Ealert(1)%3C/"):
            status, headers, body = ask(port, path)
            assert status == 200
            assert "<script>alert" not in body
            assert "&lt;script&gt;alert(1)&lt;" in body
            policy = headers["content-security-policy"]
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy
            assert "http:" not in body.replace("http://www.w3.org", "")


def test_figures_for_prometheus(files: CampaignFiles) -> None:
    with serving(files.directory) as (port, _):
        assert ask(port, "/metrics")[::2] == (200, "")  # nothing runs
    begin_run(files, rows=3)
    with serving(files.directory) as (port, _):
        status, headers, text = ask(port, "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    label = f'campaign="made-up-1",model="{SECOND[2:]}",block="1",step="1"'
    for line in (
        "# TYPE load_study_requests_total counter",
        f"load_study_users{{{label}}} 100",
        f"load_study_requests_per_second{{{label}}} 33",
        f'load_study_response_seconds{{{label},quantile="0.99"}} 0.008',
    ):
        assert line in text.splitlines()
    cpu = [line for line in text.splitlines() if line.startswith("load_study_cpu_cores{")]
    assert any('host="target",role="server"' in line for line in cpu)


def test_sealed_runs_are_judged_once_and_damage_is_said(files: CampaignFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.show.page.live_page.refuse_beside_campaign", lambda: None)
    begin_run(files, rows=1)
    asked: list[str] = []

    def judge(directory: Path, run: str) -> list[JudgedStep]:
        asked.append(run)
        return [JudgedStep(1)]

    campaigns = named([files.directory, files.directory / ".." / files.directory.name])
    assert list(campaigns) == ["made-up-1"]
    for _ in range(2):
        judge_sealed(campaigns.values(), judge)
    assert asked == [FIRST]
    (watched,) = campaigns.values()
    assert [each.text for each in watched.messages] == [f"block 1, {FIRST[2:]}: done", "step 1: overload"]


def test_a_directory_without_a_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no campaign is there"):
        named([tmp_path])


def test_a_stale_live_json_is_no_run_that_goes_on(files: CampaignFiles) -> None:
    begin_run(files, rows=1)
    write_json(files.run(SECOND).live, asdict(figures(time.time() - 60)))
    (watched,) = named([files.directory]).values()
    with watched.looked():
        assert (watched.current, watched.runs[1].status) == (None, "unfinished")
        assert watched.left_s() is None


def test_seconds_are_rows_with_the_columns_of_live_json(tmp_path: Path) -> None:
    path = tmp_path / "seconds.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = RowWriter(stream, type(second_row(figures(0.0))))
        writer.write(second_row(figures(1.5, rps=None, step=None, kind=None, phase=None, users=None)))
    (row,) = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    assert (row["time"], row["rps"], row["kind"], row["p99_ms"], row["requests"]) == ("1.500", "", "", "8.000", "40")
