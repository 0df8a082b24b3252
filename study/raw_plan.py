"""Mistakes that are looked for in a plan's raw data, since they concern several keys together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from study.plan_errors import nearest, shown
from study.request import request_mistakes
from study.workload import mistakes

Models = Mapping[str, Collection[str]]
"""The registered models, each with the names of its own options."""

OWN_CLIENTS = ("client", "connection", "think_time")
LOCUSTFILE_KEYS = ("user_classes", "files", "requirements", "tags")


def plan_mistakes(data: dict[str, Any], known: Models | None, aa_suffix: str) -> list[str]:
    """One line for each mistake; without `known` any model name will do. `aa_suffix` ends the A/A label."""
    wrong = _unknown_models(data, known) if known is not None else []
    wrong += [mistake for key, entry in server_tables(data).items() for mistake in mistakes(entry, key)]
    wrong += request_mistakes(data.get("request"), "request") + _model_request_mistakes(data)
    wrong += _duplicate_labels(data, aa_suffix) + _load_mistakes(data) + _must_carry_mistakes(data)
    return wrong + _client_mistakes(data)


def server_tables(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The raw [[servers]] tables by `servers.NAME`, or `servers.NUMBER` where the name is missing or not unique."""
    listed = _listed(data.get("servers"))
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in listed]
    count = Counter(name for name in names if isinstance(name, str))
    return {
        f"servers.{name[:60] if isinstance(name, str) and count[name] == 1 else number}": (
            entry if isinstance(entry, dict) else {}
        )
        for number, (name, entry) in enumerate(zip(names, listed, strict=True), 1)
    }


def _model_request_mistakes(data: dict[str, Any]) -> list[str]:
    """Mistakes in the plan's [request] where a model of this study gets it too: they answer GET and HEAD alone."""
    request = data.get("request")
    tables = server_tables(data).values()
    others = [entry.get("name") for entry in tables if not {"command", "url"}.isdisjoint(entry)]
    models = [name for name in _listed(data.get("models")) if isinstance(name, str) and name not in others]
    if not models or not isinstance(request, dict):
        return []
    own = f"{shown(models[0])} gets it too, a model; give the others a [servers.request]"
    if request.get("method", "GET") not in ("GET", "HEAD") or not {"body", "body_file"}.isdisjoint(request):
        return [f"request: models answer GET and HEAD without a body, and {own}"]
    work = data.get("work")
    if not {"range", "paths"}.isdisjoint(request) and not (isinstance(work, dict) and "bytes" in work):
        return [f"request: models echo the request, which varies, so that work.bytes is needed: {own}"]
    return []


def _load_mistakes(data: dict[str, Any]) -> list[str]:
    """Mistakes in how the load is asked for: by a list of users or by a search, and not by both."""
    if "users" in data and "search" in data:
        return ["users: stands beside [search], which chooses the users itself: keep one of the two"]
    if "search" not in data and "users" not in data:
        return ["users: is missing (a list of users; or a table [search] instead)"]
    return ["users: at least one is wanted (got [])"] if data.get("users") == [] else []


def _must_carry_mistakes(data: dict[str, Any]) -> list[str]:
    """A number of users that no step of the plan has can't be shown to be carried."""
    slo, search = data.get("slo"), data.get("search")
    wanted = slo.get("must_carry") if isinstance(slo, dict) else None
    loads = [search.get("most")] if isinstance(search, dict) else _listed(data.get("users"))
    known = [load for load in loads if isinstance(load, int)]
    if not isinstance(wanted, int) or not known or wanted <= max(known):
        return []
    return [f"slo.must_carry: no step has {shown(wanted)} users: the largest one has {max(known)}"]


def _client_mistakes(data: dict[str, Any]) -> list[str]:
    """Keys that belong to the study's own clients beside a locustfile, and those of a locustfile without one."""
    if data.get("locustfile") is not None:
        return [
            f"{key}: belongs to the study's own clients, and the locustfile says it itself"
            for key in OWN_CLIENTS
            if key in data
        ]
    return [f"{key}: belongs to a locustfile, and there is none" for key in LOCUSTFILE_KEYS if data.get(key)]


def _duplicate_labels(data: dict[str, Any], aa_suffix: str) -> list[str]:
    """Mistakes by which two runs would have one label, and so one directory."""
    names = [entry.get("name") for entry in _listed(data.get("servers")) if isinstance(entry, dict)]
    count = Counter(name for name in names if isinstance(name, str))
    twice = sorted(shown(name)[1:-1] for name in count if count[name] > 1)
    wrong = [f"servers.{name}: named twice" for name in twice]
    models = [name for name in _listed(data.get("models")) if isinstance(name, str)]
    if data.get("aa", True) and models and models[0] + aa_suffix in models:
        wrong.append(f"models: {models[0]}{aa_suffix} is the A/A control's name: choose another, or set aa = false")
    return wrong


def _unknown_models(data: dict[str, Any], known: Models) -> list[str]:
    """Unknown models and options. Looks at the raw data, so that one message lists them with all other mistakes."""
    registered = ", ".join(sorted(known))
    servers = server_tables(data)
    own = {entry["name"] for entry in servers.values() if isinstance(entry.get("name"), str)}
    wrong = [
        f"models: unknown model {shown(name)}{nearest(name, known)} (known: {registered})"
        for name in _listed(data.get("models"))
        if isinstance(name, str) and name not in known and name not in own
    ]
    for key, entry in servers.items():
        model, options = entry.get("model"), entry.get("options")
        if isinstance(model, str) and model not in known:
            wrong.append(f"{key}: unknown model {shown(model)}{nearest(model, known)} (known: {registered})")
        elif isinstance(model, str) and isinstance(options, dict):
            available = f"it has {', '.join(known[model])}" if known[model] else "it has none"
            wrong += [
                f"{key}.options: {model} has no option {shown(name)} ({available})"
                for name in set(options) - {*known[model]}
            ]
        if isinstance(entry.get("name"), str) and entry["name"] in known:
            wrong.append(f"{key}: a registered model has this name already")
    return wrong


def _listed(value: object) -> list[Any]:
    """The value if it is a list, else an empty list: pydantic reports a wrong type."""
    return value if isinstance(value, list) else []
