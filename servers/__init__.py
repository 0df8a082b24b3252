"""The servers that the study measures: one file per model, all with the same contract, `serve(listener, handle, stop)`.

Every module here except `__init__` and `__main__` is a model; `core` holds what they share. Standard library only.
"""
