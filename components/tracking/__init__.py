"""What a training and its scores tell MLflow, also while its server is away."""
