"""The servers that the study measures: one file a model, all behind one small contract.

Every module here except `__init__` and `__main__` is a model; `core` holds what they share. Standard
library only.
"""
