"""Turns images on disk into a validated, resized, sharded data set."""
