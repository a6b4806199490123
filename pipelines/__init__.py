"""The Kubeflow pipelines of the stages: compile, publish, submit, schedule."""
