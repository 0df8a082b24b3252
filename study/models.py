"""What a plan needs to know of the model files in servers/: names, their own options, and required modules."""

from __future__ import annotations

from servers.core.model import Model, load, names


def options() -> dict[str, tuple[str, ...]]:
    """Every registered model with the names of its own options."""
    return {
        name: tuple(option.name for option in model.options) if (model := _declared(name)) else () for name in names()
    }


def needs(name: str) -> tuple[str, ...]:
    """Modules outside the standard library that the model needs."""
    model = _declared(name) if name in names() else None
    return model.needs if model else ()


def _declared(name: str) -> Model | None:
    """The model's declaration; None where its file can't be imported: a run of that model then says why."""
    try:
        declared: Model = load(name).MODEL
    except Exception:
        return None
    return declared
