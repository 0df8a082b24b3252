"""What the locustfile imports from beside it, with data that it reads from its working directory."""

import random
from pathlib import Path

ITEMS = [int(line) for line in Path("items.txt").read_text(encoding="ascii").split()]


def item_number() -> int:
    """One of the items."""
    return random.choice(ITEMS)
