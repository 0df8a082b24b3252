"""A model has one colour and marker for ever, by its name."""

from __future__ import annotations

from servers.core.model import names
from study.palette import CONTROL_LINE, MODELS, colour, in_order, look, looks, marker

SHIPPED = (
    "nginx", "nginx-tls", "gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent", "uvicorn", "granian-wsgi",
    "granian-asgi", "flask", "fastapi", "django", "node",
)  # fmt: skip
"""Servers of the plans that the project has."""


def test_every_model_has_a_look_of_its_own() -> None:
    assert set(MODELS) <= set(names())
    assert len(set(MODELS.values())) == len(MODELS)
    measured = [each for name, each in MODELS.items() if name != "null"]
    assert len({each.marker for each in measured}) == len(measured)


def test_the_looks_of_before_are_those_of_today() -> None:
    """A change here would give old and new reports different colours."""
    known = {"single": ("#0072b2", "o"), "process": ("#d55e00", "s"), "thread": ("#009e73", "^"), "nginx": NGINX}
    assert {name: (colour(name), marker(name)) for name in known} == known


NGINX = ("#e69f00", "v")


def test_a_look_depends_on_the_name_alone() -> None:
    first = looks(["thread", "my-server", "single"])
    assert first == {name: look(name) for name in reversed(list(first))}


def test_the_control_differs_from_its_model_by_its_line() -> None:
    for name in ("single", "my-server"):
        model, control = look(name), look(f"{name}-aa")
        assert (control.colour, control.marker, control.line) == (model.colour, model.marker, CONTROL_LINE)
        assert model.line != CONTROL_LINE


def test_no_two_labels_of_a_campaign_look_alike() -> None:
    assert len(set(looks([*MODELS, *SHIPPED, "single-aa"]).values())) == len(MODELS) + len(SHIPPED) + 1
    alike = [name for name in map(str, range(5000)) if look(name) == look("0")][:3]
    assert len(alike) == 3
    assert len(set(looks(alike).values())) == 3
    assert len(set(in_order([str(at) for at in range(120)]).values())) == 120


def test_the_projects_own_plans_have_markers_that_differ() -> None:
    for some in (SHIPPED[:8], SHIPPED[8:]):
        assert len({(colour(name), marker(name)) for name in some}) == len(some)
