"""Packs: a campaign as one file, with the sums of its files."""
