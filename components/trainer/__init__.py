"""Trains on several hosts of a Kubernetes cluster: TrainJobs of Kubeflow Trainer, and what their hosts share."""
