"""Evaluates a generator: features of images, scores from features, the report."""
