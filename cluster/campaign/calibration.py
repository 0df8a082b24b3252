"""Calibration: how many requests a second the generator holds, against a server that costs next to nothing.

It is a campaign of its own, kept below the one that it is for: the null responder under three rates, up to twice what
the plan's largest step may ask for. A step is planned on at most half of what the generator holds.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.campaign.run import Show, Study, execute
from study.formats.json_files import write_whole
from study.formats.run_json import RunState
from study.layout import CampaignFiles
from study.plan import Plan, parse_plan
from study.reading import read_as

MODEL = "null"
THINK_S = 0.2  # mean; short, so that few users make a high rate
HEADROOM = 2.0
RATES = (0.5, 1.0, HEADROOM)  # of the plan's need
MOST_USERS = 10_000  # 50,000 requests a second: more can't be tried

TEXT = """# The generator against the null responder, for the plan {name}. Rates, not users, are what matters here.
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
    """Requests a second that the plan's largest step may ask for, N / Z; None without think time: no bound."""
    return max(plan.users) / plan.mean_think_s if plan.mean_think_s else None


def plan_text(plan: Plan) -> str | None:
    """The calibration's plan, as a file; None where the plan's need has no bound."""
    wanted = need(plan)
    if wanted is None:
        return None
    users = sorted({min(max(round(wanted * share * THINK_S), 1), MOST_USERS) for share in RATES})
    return TEXT.format(
        name=plan.name,
        model=MODEL,
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


def calibrate(study: Study, files: CampaignFiles, show: Show) -> CampaignFiles | None:
    """Run the calibration in `files`, where it has not been run yet.

    None where the plan's need has no bound, or the calibration failed, which is said: the campaign goes on.
    """
    text = plan_text(study.plan)
    if text is None:
        return None
    plan = parse_plan(text, "calibration")
    (run,) = plan.runs()
    sealed = files.run(run.directory).state
    if not (sealed.exists() and read_as(RunState, sealed).state == "done"):
        files.runs.mkdir(parents=True, exist_ok=True)
        write_whole(files.plan, text)
        show.say(f"calibrating: the generator against a server that costs next to nothing, {seconds(text):.0f} s")
        show.began(plan, run, 1, 1)
        if execute(replace(study, plan=plan, plan_text=text), files, run, show) != "done":
            show.say(f"calibration failed: {read_as(RunState, sealed).reason}")
            return None
    return files


def seconds(text: str) -> float:
    """How long a calibration takes."""
    return parse_plan(text, "calibration").run_seconds()[0]
