"""The parts that all models share: HTTP framing, application, limits, counts and the runner. The models differ in how
they wait.
"""
