"""Metrics: features of real and generated images → numbers."""
