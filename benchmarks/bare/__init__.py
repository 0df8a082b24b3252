"""Bare twins of the models: they accept and wait in the same way, without parsing, limits, counts or a clean stop.

One file each, named as in servers/. The difference between a model and its twin is what correctness costs.
"""
