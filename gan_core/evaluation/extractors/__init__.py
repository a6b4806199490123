"""Extractors, which map images to features."""
