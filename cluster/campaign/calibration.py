"""Calibration: how many requests per second the load generator sustains against a server that costs next to nothing.

It is a campaign of its own in the directory calibration/ of the campaign that it is for: the null responder at three
rates, up to twice what the plan's largest step may ask for. A step should need at most half of what the generator
sustains.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.campaign.observer import DescribeCapacity, Observer
from cluster.campaign.prepare import Setup
from cluster.campaign.run import execute
from study.formats.json_files import write_whole
from study.formats.run_json import RunState
from study.layout import CampaignFiles
from study.plan import NULL_MODEL, Plan, parse_plan
from study.reading import read_as

THINK_S = 0.2  # mean; short, so that few users make a high rate
HEADROOM = 2.0
RATES = (0.5, 1.0, HEADROOM)  # as shares of the plan's need
MOST_USERS = 10_000  # limits the rate to 50,000 requests per second

TEXT = """# The load generator against the null responder, for the plan {name}. Its rates matter, not its users.
name = "calibration"
models = ["{model}"]
users = {users}
think_time = [{low}, {high}]
spawn_rate = {spawn_rate}
client = "{client}"
connection = "{connection}"
timeout = {timeout}
settle = 1
measure = 3
return_step = false
aa = false
port = {port}
master_port = {master_port}
memory_floor_mb = {memory_floor_mb}
"""


def need(plan: Plan) -> float | None:
    """Requests per second that the plan's largest step may ask for, N / Z; None without think time: no bound."""
    return plan.most_users / plan.mean_think_s if plan.mean_think_s else None


def plan_text(plan: Plan) -> str | None:
    """The calibration's plan as TOML; None where the plan's need has no bound, and for a search."""
    rate = need(plan)
    if rate is None or plan.search is not None:
        return None
    users = sorted({min(max(round(rate * share * THINK_S), 1), MOST_USERS) for share in RATES})
    return TEXT.format(
        name=plan.name,
        model=NULL_MODEL,
        users=users,
        low=THINK_S / 2,
        high=THINK_S * 3 / 2,
        spawn_rate=users[-1],
        client=plan.client,
        connection=plan.connection,
        timeout=plan.timeout,
        port=plan.port,
        master_port=plan.master_port,
        memory_floor_mb=plan.memory_floor_mb,
    )


def calibrate(setup: Setup, files: CampaignFiles, observer: Observer, capacity: DescribeCapacity) -> None:
    """Run the calibration in `files` unless it is there already, and report the rate that was sustained.

    A calibration that fails is reported and does not stop the campaign.
    """
    rate, text = need(setup.plan), plan_text(setup.plan)
    if setup.plan.search is not None:
        observer.message("each search ends where the generator is the limit: it needs no calibration beforehand")
        return
    if rate is None or text is None:
        observer.message("no think time: nothing bounds what a step asks for, so the generator is not calibrated")
        return
    plan = parse_plan(text, "calibration")
    (run,) = plan.runs()
    sealed = files.run(run.directory).state
    if not (sealed.exists() and read_as(RunState, sealed).state == "done"):
        files.runs.mkdir(parents=True, exist_ok=True)
        write_whole(files.plan, text)
        cost = "a server that costs next to nothing"
        observer.message(f"calibrating: the generator against {cost}, {duration_s(text):.0f} s")
        observer.run_started(plan, run, 1, 1)
        if execute(replace(setup, plan=plan, plan_text=text), files, run, observer) != "done":
            observer.message(f"calibration failed: {read_as(RunState, sealed).reason}")
            return
    observer.message(capacity(files.directory, rate, setup.placement.load_cores()))


def duration_s(text: str) -> float:
    """How long a calibration with this plan takes, in seconds."""
    return parse_plan(text, "calibration").run_seconds()[0]
