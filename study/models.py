"""The registered models as a plan needs them: their names, the names of their own options, what they need installed."""

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
    """None where the file can't be imported: that is its own model's trouble, whose run will say what is wrong."""
    try:
        declared: Model = load(name).MODEL
    except Exception:
        return None
    return declared
