"""/metrics: the running figures in Prometheus's text format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.show.page.watched_campaign import WatchedCampaign
from cluster.show.page.watched_run import WatchedRun
from study.formats.live_json import LiveFigures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """One metric: its name, its type, what it is."""

    name: str
    kind: str
    help: str


USERS = Metric("load_study_users", "gauge", "Users that the workers report.")
RATE = Metric("load_study_requests_per_second", "gauge", "Requests that ended in the last second, failures included.")
REQUESTS = Metric("load_study_requests_total", "counter", "Requests that ended since the run began.")
FAILURES = Metric("load_study_failures_total", "counter", "Those of them that failed.")
RESPONSE = Metric("load_study_response_seconds", "gauge", "Quantile of the response times of the last second.")
LAG = Metric("load_study_lag_seconds", "gauge", "Quantile of how late requests started in the last second.")
CPU = Metric("load_study_cpu_cores", "gauge", "CPU of a host, of the server or of a worker, in cores.")
Sample = tuple[Metric, Mapping[str, str], float]


def metrics_text(campaigns: Sequence[WatchedCampaign]) -> str:
    """The figures of every campaign that has a running run."""
    samples: list[Sample] = []
    for watched in campaigns:
        with watched.looked():
            samples += _campaign_samples(watched)
    lines: list[str] = []
    for metric in (USERS, RATE, REQUESTS, FAILURES, RESPONSE, LAG, CPU):
        own = [sample for sample in samples if sample[0] is metric]
        if own:
            lines += (f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}")
            lines += (f"{metric.name}{{{_labels(labels)}}} {value:.10g}" for _, labels, value in own)
    return "".join(f"{line}\n" for line in lines)


def _campaign_samples(watched: WatchedCampaign) -> Iterable[Sample]:
    run = watched.current
    if run is None or run.live is None:
        return ()
    step = "" if run.live.step is None else str(run.live.step)
    labels = {"campaign": watched.name, "model": run.run.label, "block": str(run.run.block), "step": step}
    return [*_live_samples(run.live, labels), *_cpu_samples(run, labels)]


def _live_samples(live: LiveFigures, labels: Mapping[str, str]) -> Iterable[Sample]:
    yield USERS, labels, live.running
    yield REQUESTS, labels, live.requests
    yield FAILURES, labels, live.failures
    if live.rps is not None:
        yield RATE, labels, live.rps
    for metric, quantile, value in (
        (RESPONSE, "0.5", live.p50_ms), (RESPONSE, "0.99", live.p99_ms), (LAG, "0.99", live.lag_p99_ms),
    ):  # fmt: skip
        if value is not None:
            yield metric, {**labels, "quantile": quantile}, value / 1000


def _cpu_samples(run: WatchedRun, labels: Mapping[str, str]) -> Iterable[Sample]:
    for each in run.samples.values():
        cpu = next((value for value in reversed(each.columns["cpu_cores"]) if value is not None), None)
        if cpu is not None:
            yield CPU, {**labels, "host": each.host, "role": each.role, "name": each.name}, cpu


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
