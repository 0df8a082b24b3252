"""What is said of campaigns that are kept: packs, and the history of one plan."""
