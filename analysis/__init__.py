"""What a campaign means: results directory -> tidy frames -> checks -> statistics -> figures and summary.

Reads files and starts nothing; works on a directory copied from elsewhere and on an unfinished campaign.
"""

from analysis.judge.judging import StepVerdict, verdicts_of
from analysis.pipeline import Analysis, analyze
from analysis.rank.capacity import Capacity, capacity, capacity_sentence
from analysis.rank.comparison import Comparison, compare
from analysis.read.results import Campaign, load

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
    "load",
    "verdicts_of",
]
