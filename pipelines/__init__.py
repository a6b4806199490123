"""The Kubeflow graph of the same stages: compile, publish, submit, schedule."""
