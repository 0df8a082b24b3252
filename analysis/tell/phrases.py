"""The sentences that depend on which figures a finding has: functions of one finding, for the table of `sentences`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analysis.judge.findings import Finding
from analysis.judge.reconciliation import BACKGROUND, IN_FLIGHT, MASTER_CONNECTIONS
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.tell.words import between, counted, counters, series, was
from study.safe_text import short_name

BACKGROUND_CLIENTS: Mapping[str, tuple[str, str]] = {
    "idle": ("idle connection", "idle connections"),
    "slow": ("slow client", "slow clients"),
}
UNCERTAIN: Mapping[str, tuple[str, str]] = {
    MASTER_CONNECTIONS: ("connection of a worker to its master", "connections of workers to their master"),
    BACKGROUND: ("uncertain request of the background clients", "uncertain requests of the background clients"),
    IN_FLIGHT: ("in flight at the end", "in flight at the end"),
}


def interactive_law(f: Finding) -> str:
    """The users in flight and those who think, against all of them."""
    parts = f"L + X Z = {f['in_flight']:.1f} in flight + {f['thinking']:.1f} thinking"
    parts += f" + {f['turning']:.2f} between an answer and the next request" if f["turning"] else ""
    if abs(f["cut"]) >= 0.05:
        parts += f" {'-' if f['cut'] > 0 else '+'} {abs(f['cut']):.1f} whose think times the window's ends cut"
    return f"{parts} = {f['accounted']:.1f} of {counted(f['users'], 'user', spec='.0f')}, {f['value']:.2%} off"


def iterations_law(f: Finding) -> str:
    """The users in an iteration and those who wait, against all of them."""
    parts = f"X (R + Z) of iterations = {f['iterating']:.1f} users in an iteration + {f['waiting']:.1f} waiting"
    return f"{parts} = {f['accounted']:.1f} of {counted(f['users'], 'user', spec='.0f')}, {f['value']:.1%} off"


def clocks(f: Finding) -> str:
    """The workers whose clocks run fast or slow."""
    if f["value"] is None:
        return "one worker's clock alone has nothing to be compared with"
    if not f["workers"]:
        return "all workers' clocks agree"
    named = f"the clock of {series(f['workers'])} ran {abs(f['fast']):.1%} {'fast' if f['fast'] > 0 else 'slow'}"
    return f"{named} at most, and which of them is right isn't known" if len(f["workers"]) > 1 else named


def little(f: Finding) -> str:
    """Both sides of Little's law."""
    edges = f" and {f['edges']:+.2f} that the window's ends cut off" if f["edges"] else ""
    return f"L = {f['in_flight']:.2f} in flight, X R = {f['by_law']:.2f}{edges}"


def requests_counted(f: Finding) -> str:
    """Requests that began against those that ended."""
    if f["value"] is None:
        return "what was in flight as the window began was not recorded"
    return (
        f"{f['before']:.0f} in flight + {f['started']:.0f} begun, {f['ended']:.0f} ended +"
        f" {f['after']:.0f} in flight at the end"
    )


def cpu_work(f: Finding) -> str:
    """CPU time that the plan asks for, and that the server used."""
    asked = f"{f['rate']:.1f} requests/s x {f['cpu_ms']:g} ms of CPU each = {f['asked']:.2f} cores"
    return f"{asked}; the target was not watched" if f["value"] is None else f"{asked}, the server used {f['used']:.2f}"


def oldest(f: Finding) -> str:
    """The age of the oldest request in flight."""
    if not f["in_flight"]:
        return "nothing in flight at the window's end"
    age = f"the oldest of {f['in_flight']} in flight at the window's end is {f['value']:.2f} s old"
    return f"{age}, timeout {f['timeout_s']:g} s"


def lag(f: Finding) -> str:
    """How late users woke, and where they were late, by how much think times were longer than drawn."""
    if f["value"] is None:
        return "no think time ended in the window"
    late = f"users of {f['worker']} woke {f['value']:.1f} ms late (p99)"
    if f["drawn_s"] is None:
        return late
    return f"{late}; think times drawn as {f['drawn_s']:.3f} s passed in {f['passed_s']:.3f} s on average"


def loop_lag(f: Finding) -> str:
    """How late a worker's event loop was."""
    if f["value"] is None:
        return "the event loop's lag was not recorded"
    late = f"the event loop of {f['worker']} was {f['value']:.2f} ms late (p99)"
    return f"{late}; response times are upper bounds" if f["value"] > f["threshold"] else late


def think(f: Finding) -> str:
    """The mean think time drawn and the plan's."""
    if f["value"] is None:
        return "no think time was drawn in the window"
    return f"think times were drawn with a mean of {f['drawn_s']:.3f} s, the plan's is {f['planned_s']:.3f} s"


def drift(what: str) -> Callable[[Finding], str]:
    """A sentence about the change of this figure over the window."""

    def text(f: Finding) -> str:
        if f["value"] is None:
            return "fewer than three seconds with answers were recorded"
        return f"{what} drifted by {f['change']:+.1%} over {f['seconds']:.0f} s"

    return text


def silent(f: Finding) -> str:
    """The seconds in which nearly all answers that are due are missing; some of a few are there by chance."""
    if not f["spans"]:
        return "no second is without the answers that are due in it, beyond chance"
    seconds = series([f"{start:.0f}-{end:.0f}" for start, end in f["spans"]])
    due = f"under {T.silent_share:.0%} of the {f['expected']:.0f} a second expected"
    return f"hardly any answers in seconds {seconds} of the window, {due}"


def cycles(f: Finding) -> str:
    """Requests, or iterations, and users of the window."""
    what = "iteration" if f.code == "samples.iterations" else "request"
    requests, users = counted(f[f"{what}s"], what, spec=".0f"), counted(f["users"], "user", spec=".0f")
    known = "" if f["rate_error"] is None else f", past the knee: X is known to {f['rate_error']:.1%}"
    known = ", and no request that ended" if what == "iteration" and not f["value"] else known
    return f"{requests} of {users} in {f['seconds']:.0f} s{known}"


def failures(f: Finding) -> str:
    """How many requests failed, by kind."""
    if not f["requests"]:
        return "no request ended in the window"
    kinds = ", ".join(f"{count} {kind}" for kind, count in f["kinds"].items())
    return f"{f['failed']} of {f['requests']} failed ({f['value']:.2%})" + (f": {kinds}" if kinds else "")


def raised(f: Finding) -> str:
    """Exceptions that user classes raised."""
    raised_, ended = counted(f["count"], "exception", spec=".0f"), counted(f["iterations"], "iteration", spec=".0f")
    return f"user classes raised {raised_} in {ended}, most often {short_name(f['most'])}"


def unanswered(f: Finding) -> str:
    """Requests that timed out or were left hanging."""
    return (
        f"{counted(f['timed_out'], 'request', spec='.0f')} timed out and {f['hanging']} {was(f['hanging'])} left"
        f" hanging at the window's end: {f['value']:.2%} of the requests, {f['held']:.1%} of the users' time"
    )


def counts_of_the_run(f: Finding) -> str:
    """The generator's counts of a run, which add up to its attempts, and the server's, or the kernel's."""
    why = ""
    if f["missing"]:
        why = f"records are missing: {', '.join(f['missing'][:3])}{' and more' if len(f['missing']) > 3 else ''}; "
    elif f["value"] is None:
        why = "the server's own counts were not recorded; "
    return f"{why}{_attempts(f)}; {_by_the_server(f)}"


def _attempts(f: Finding) -> str:
    parts = [f"{f['answered']} answered"]
    parts += [f"{f['never_sent']} refused a connection"] if f["never_sent"] else []
    doubt = ", ".join(f"{count} {kind}" for kind, count in f["in_doubt"].items() if count)
    parts += [f"{doubt} (which the server may have answered)"] if doubt else []
    text = f"{counted(f['attempts'], 'attempt', spec='.0f')}: {', '.join(parts)}"
    text += f"; {counted(f['beyond'], 'answer', spec='.0f')} beyond the attempts" if f["beyond"] else ""
    besides = [_besides(kind, count) for kind, count in f["besides"].items() if count]
    return f"{text}; besides {', '.join(besides)}" if besides else text


def _besides(kind: str, count: int) -> str:
    one, several = UNCERTAIN.get(kind, (kind, kind))
    return counted(count, one, several, ".0f")


def _by_the_server(f: Finding) -> str:
    """What the server counts, or the kernel for it."""
    if f["by_kernel"] and f["server"] is None:
        return "the server keeps no count, and of connections that stay open the kernel counts no requests"
    own = f", {f['probes']} of them the campaign's own probes" if f["probes"] else ""
    own += f", {f['background']} of them those of the background clients" if f["background"] else ""
    server = "an unknown number" if f["server"] is None else str(f["server"])
    if f["by_kernel"]:
        kernel = "the server keeps no count, the kernel's counters stand in"
        return f"{kernel}: {server} connections accepted on the target, by any program{own}"
    refused_ = f", and {f['refused']} refused besides" if f["refused"] else ""
    return f"the server counts {server} answered{own}{refused_}"


def kernel(f: Finding) -> str:
    """The kernel's counters that moved."""
    if f["value"] is None:
        return "the target's kernel counters were not recorded"
    cut = any(span.most is None for span in f["counters"].values())
    seen = ", in the samples that lie in the window" if cut else ""
    return counters(f["counters"]) or f"no overflow, drop, cookie, retransmit or timeout{seen}"


def accept_queue(f: Finding) -> str:
    """Connections that waited to be accepted, and how many would at random arrivals, on average and by chance."""
    limit = "" if f["backlog"] is None else f"; backlog {f['backlog']:.0f}"
    return (
        f"{counted(f['queue'], 'connection', spec='.1f')} waited in its accept queue on average (random arrivals at"
        f" {f['busy']:.0%} busy give {f['expected']:.1f} by M/D/1, and with chance up to {f['allowed']:.1f}{limit})"
    )


def held(f: Finding) -> str:
    """A pool of known size whose members wait for background clients."""
    pool_ = f"its pool of {f['slots']:.0f} was" if f["slots"] > 1 else "its one place was"
    return f"{pool_} held by background clients, {f['clients']:.1f} of which were connected on average"


def pool(f: Finding) -> str:
    """A pool of known size that was busy."""
    busy = f["rate"] * f["held_ms"] / 1000
    return (
        f"its pool of {f['slots']:.0f} was busy: X x time held = {f['rate']:,.1f} requests/s x {f['held_ms']:.2f} ms"
        f" = {busy:.1f}"
    )


def strangers(f: Finding) -> str:
    """What others took of a group of cores."""
    whose = "the server's cores" if f["whose"] == "server" else "the workers' cores"
    if f["value"] is None and f["more"] is not None:
        more = f"the study's own processes used {f['more']:.1%} more of {whose} than the kernel's ticks count as busy"
        return f"{more}, so what others took can't be told"
    if f["value"] is None:
        return f"who else used {whose} was not recorded"
    steal = f" (steal, as the kernel counts it: {f['steal']:.1%})" if f["steal"] and f["steal"] >= 0.0005 else ""
    return f"others took {f['value']:.1%} of {whose} on {f['host']}{steal}"


def untested(f: Finding) -> str:
    """A step whose cores others used, and that can't be held against other blocks."""
    known = f"{counted(f['blocks'], 'undisturbed block', spec='.0f')} of this load"
    return f"what the others did to its figures can't be told: {known}, and {f['wanted']:.0f} are needed"


def outside(f: Finding) -> str:
    """A disturbed step's figures and those of the undisturbed blocks."""
    others = counted(f["blocks"], "undisturbed block")
    return (
        f"{f['rate']:.1f} requests/s, mean {f['mean_ms']:.3g} ms, where {others} gave"
        f" {f['low']:.1f} to {f['high']:.1f} requests/s, {f['low_ms']:.3g} to {f['high_ms']:.3g} ms"
    )


def refused(f: Finding) -> str:
    """Requests that the server itself refused."""
    text = f"it counts {f['refused']} refused in this run, {f['turned_away']} turned away in this step"
    return text if f["open"] is None else f"{text}, with {counted(f['open'], 'descriptor', spec='.0f')} open"


def room(f: Finding) -> str:
    """What the target had left."""
    parts = []
    if f["cpu"] is not None:
        of = f"of {cores(f['cores'])}" if f["cores"] is not None else "cores"
        parts.append(f"CPU {f['cpu']:.2f} {of}{taken(f)}")
    if f["queue"] is not None:
        parts.append(f"accept queue {f['queue']:.1f}")
    if f["open"] is not None:
        most = f" of {f['limit']:.0f}" if f["limit"] else ""
        parts.append(f"{f['open']:.0f}{most} descriptors")
    return ", ".join(parts) or "the target's figures are empty"


def taken(f: Finding) -> str:
    """As ` with 0.48 more taken by others`; empty where they took next to nothing."""
    return f" with {f['others']:.2f} more taken by others" if f["others"] else ""


def cores(number: float) -> str:
    """As `1 core`, `2 cores`, `0.5 cores`."""
    return counted(number, "core", spec="g")


def blocks(f: Finding) -> str:
    """The spread of goodput over the blocks."""
    if f["value"] is None:
        return "one block alone can't show it"
    return f"X from {f['low']:.1f} to {f['high']:.1f} requests/s in {counted(f['blocks'], 'block', spec='.0f')}"


def return_step(unit: str) -> Callable[[Finding], str]:
    """A sentence of the return step's figure and the ladder's, in this unit."""

    def text(f: Finding) -> str:
        if f["value"] is None:
            return "one of the two steps has no such figure"
        return f"{f['first']:.4g} {unit} on the way up, {f['again']:.4g} {unit} at the return"

    return text


def ratio_sentence(first: str, second: str, value: float, low: float | None, high: float | None) -> str:
    """As `thread = 1.12 x single [1.08, 1.16]`."""
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    return f"{first} = {value:.2f} x {second}{interval}"


def control(f: Finding) -> str:
    """The A/A control's ratio."""
    ratio = ratio_sentence(f["control"], f["model"], f["value"], f["low"], f["high"])
    return f"{ratio}: one block gives no interval" if f["low"] is None else ratio


def background(f: Finding) -> str:
    """Background clients of one kind that were held."""
    several = counted(f["wanted"], *BACKGROUND_CLIENTS[f["kind"]], ".0f")
    text = f"in the background, {f['held']:.4g} of {several} {was(f['wanted'])} held on average"
    if not f["turned_away"] and not f["most"]:
        return text
    return f"{text}, and {between(f['turned_away'], f['most'], 'time')} one was refused, cut off or not answered"


def ended(f: Finding) -> str:
    """CPU time of children that had ended; starts are the whole machine's, by the kernel's count."""
    share = f"{f['share']:.0%} of its CPU time was that of children that had ended"
    if f["starts"] is None:
        return share
    return f"{share}; its machine started {f['starts']:.1f} processes and threads a request, other programs' included"


def limit_workers(f: Finding) -> str:
    """The generator's lag and CPU over the windows that it limited."""
    parts = [] if f["lag_ms"] is None or f["windows"] < 2 else [f"users woke {f['lag_ms']:.2g} ms late (p99)"]
    parts += [] if f["cpu"] is None else [f"the busiest worker used {f['cpu']:.2f} of a core"]
    of = "" if f["windows"] < 2 else f"in the median of {counted(f['windows'], 'such window', spec='.0f')} "
    return of + ", ".join(parts)


def not_usable(f: Finding) -> str:
    """The verdicts that exclude a step, in A and in B."""
    sides = [f"{', '.join(f[side])} in {letter}" for side, letter in (("first", "A"), ("second", "B")) if f[side]]
    return f"{f['model']} at {counted(f['users'], 'user', spec='.0f')}: {', '.join(sides)}"


def dropped(f: Finding) -> str:
    """Connections that the kernel dropped."""
    requests = counted(f["requests"], "request")
    return f"the kernel counted {counters(f['counters'])} with {requests}"
