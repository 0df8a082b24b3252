"""What all models share: framing, application, limits, counts and the runner. The models differ in how they
wait."""
