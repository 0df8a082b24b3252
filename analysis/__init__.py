"""What a campaign means: results directory -> tidy frames -> checks -> statistics -> figures and summary.

Reads files and starts nothing; works on a directory copied from elsewhere and on an unfinished campaign.
"""

from analysis.campaign import Campaign, load
from analysis.capacity import Capacity, capacity, capacity_sentence
from analysis.compare import Comparison, compare
from analysis.judging import StepVerdict, judge
from analysis.study import Analysis, analyze

__all__ = [
    "Analysis",
    "Campaign",
    "Capacity",
    "Comparison",
    "StepVerdict",
    "analyze",
    "capacity",
    "capacity_sentence",
    "compare",
    "judge",
    "load",
]
