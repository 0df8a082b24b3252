"""The arithmetic behind the checks: pure functions, each held to simulations (tests/unit/simulate.py)."""
