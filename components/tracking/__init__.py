"""Logs trainings and their scores to MLflow, even if its server is temporarily unavailable."""
