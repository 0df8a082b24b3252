"""The file for `locust -f` beside a locustfile of one's own: the study's shape, and none of its user classes.

Two user classes of one name would be an error, and locustfiles often have a QuickstartUser.
"""

from __future__ import annotations

from cluster.engine import locustfile

__all__ = ["Ladder"]

Ladder = locustfile.Ladder
