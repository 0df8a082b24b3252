"""Calibration: how many requests per second the load generator sustains against a server that costs next to nothing.

It is a campaign of its own in the directory calibration/ of the campaign that it is for: a search whose users double
until the generator is late, so that the figure is a capacity and not "at least". It is kept on control for the same
hosts, client, connection mode and code. A step should need at most half of what the generator sustains.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace

from cluster.campaign import manifest
from cluster.campaign.observer import DescribeCapacity, Observer
from cluster.campaign.prepare import Setup
from cluster.campaign.run import execute
from study.duration import run_seconds
from study.formats.json_files import write_whole
from study.formats.run_json import RunState
from study.layout import CampaignFiles
from study.plan import NULL_MODEL, Plan, parse_plan
from study.reading import read_as

THINK_S = 0.2  # mean; short, so that few users make a high rate
LEAST_USERS, MOST_USERS = 100, 12_800  # 500 and 64,000 requests per second
RESOLUTION = 0.2

TEXT = """# The load generator against the null responder. Its rates matter, not its users; its SLO can't be broken.
name = "calibration"
models = ["{model}"]
think_time = [{low}, {high}]
spawn_rate = {most}
client = "{client}"
connection = "{connection}"
timeout = {timeout}
settle = 0.5
measure = 2
return_step = false
aa = false
port = {port}
master_port = {master_port}
memory_floor_mb = {memory_floor_mb}
[search]
from = {least}
most = {most}
resolution = {resolution}
[slo]
p99_ms = 3600000
failures_percent = 100
"""


def need(plan: Plan) -> float | None:
    """Requests per second that the plan's largest step may ask for, N / Z; None without think time: no bound."""
    return plan.most_users / plan.mean_think_s if plan.mean_think_s else None


def plan_text(plan: Plan) -> str:
    """The calibration's plan as TOML."""
    return TEXT.format(
        model=NULL_MODEL,
        low=THINK_S / 2,
        high=THINK_S * 3 / 2,
        least=LEAST_USERS,
        most=MOST_USERS,
        resolution=RESOLUTION,
        client=plan.client,
        connection=plan.connection,
        timeout=plan.timeout,
        port=plan.port,
        master_port=plan.master_port,
        memory_floor_mb=plan.memory_floor_mb,
    )


def is_needed(plan: Plan) -> bool:
    """Whether a campaign calibrates first: not without think time, and not for a search, which finds the limit."""
    return plan.search is None and need(plan) is not None and not foreign_request(plan)


def foreign_request(plan: Plan) -> bool:
    """Whether the users send what the null responder can't answer: a body, another path each time, or TLS.

    The generator sustains fewer of such requests; a calibration with others would promise too much.
    """
    asked = [plan.server(name).asked for name in plan.models]
    posted = any(each.varies or each.has_body or each.method not in ("GET", "HEAD") for each in asked)
    return posted or any(plan.server(name).tls for name in plan.models)


def kept_files(setup: Setup) -> CampaignFiles:
    """Where the calibration for these hosts, client, connection mode and code is kept on control."""
    parts = manifest.identity("", setup.inventory, setup.facts)
    plan = setup.plan
    known = repr((plan.client, plan.connection, sorted(parts.items())))
    directory = setup.control.directory / "calibration" / hashlib.sha256(known.encode()).hexdigest()[:16]
    return CampaignFiles(directory)


def calibrate(
    setup: Setup, files: CampaignFiles, observer: Observer, capacity: DescribeCapacity, anew: bool = False
) -> None:
    """Have the calibration in `files`: as it is there, as it is kept, or by running it; then report the rate sustained.

    `anew` runs it in any case. A calibration that fails is reported and does not stop the campaign.
    """
    if not anew and setup.plan.search is not None:
        observer.message("each search ends where the generator is the limit: it needs no calibration beforehand")
        return
    rate = need(setup.plan)
    if setup.own is not None:
        observer.message(
            "the generator is not calibrated: its requests are the locustfile's; check 4 watches each step"
        )
        return
    if rate is None:
        observer.message("no think time: nothing bounds what a step asks for, so the generator is not calibrated")
        return
    if foreign_request(setup.plan):
        observer.message("the null responder can't answer this plan's requests: the generator is not calibrated")
        return
    text, kept = plan_text(setup.plan), kept_files(setup)
    if not anew and not is_done(files) and is_done(kept):
        shutil.copytree(kept.directory, files.directory, dirs_exist_ok=True)
        observer.message("the calibration for these hosts is kept; `fab calibrate` makes it anew")
    if anew or not is_done(files):
        if not _run(replace(setup, plan=parse_plan(text, "calibration"), plan_text=text), files, observer):
            return
        shutil.rmtree(kept.directory, ignore_errors=True)
        shutil.copytree(files.directory, kept.directory)
    observer.message(capacity(files.directory, rate, setup.placement.load_cores()))


def is_done(files: CampaignFiles) -> bool:
    """Whether a whole calibration is in the directory."""
    sealed = list(files.runs.glob("*/run.json"))
    return files.plan.is_file() and bool(sealed) and all(read_as(RunState, each).state == "done" for each in sealed)


def _run(setup: Setup, files: CampaignFiles, observer: Observer) -> bool:
    """Run it in `files`; whether it is done."""
    (run,) = setup.plan.runs()
    files.runs.mkdir(parents=True, exist_ok=True)
    write_whole(files.plan, setup.plan_text)
    cost = "a server that costs next to nothing"
    _, most = duration_s(setup.plan_text)
    observer.message(f"calibrating: the generator against {cost}, {most:.0f} s at the most")
    observer.run_started(setup.plan, run, 1, 1)
    if execute(setup, files, run, observer) == "done":
        return True
    observer.message(f"calibration failed: {read_as(RunState, files.run(run.directory).state).reason}")
    return False


def duration_s(text: str) -> tuple[float, float]:
    """How long a calibration with this plan takes, in seconds: where the generator is late at once, and at the most."""
    return run_seconds(parse_plan(text, "calibration"))
