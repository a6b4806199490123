"""Metrics, which map features of real and generated images to numbers."""
