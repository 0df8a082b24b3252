"""Bare twins of the models: the same way of waiting and of accepting, without parsing, limits, counts or stopping.

One file each, named as in servers/. What a model costs beyond its twin is the price of being correct.
"""
