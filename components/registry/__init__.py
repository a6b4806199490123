"""The MLflow model registry: which version is the champion, why, and how it is packaged."""
