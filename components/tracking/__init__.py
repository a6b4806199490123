"""Logs trainings and their scores to MLflow, also while its server is away."""
