"""Scores of a generator: features, their statistics, the distance between them."""
