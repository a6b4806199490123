"""Extractors: images → features."""
