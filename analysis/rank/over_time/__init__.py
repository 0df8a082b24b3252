"""Campaigns of one plan on the same hosts, one after the other."""
