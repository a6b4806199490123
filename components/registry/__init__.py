"""The MLflow model registry: decides which version is the champion, records why, and packages the model."""
