"""Many people in one process: how late what a model says is, and what idle clients cost."""
