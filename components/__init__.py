"""One command per stage. A person, DVC and a Kubeflow container run the same commands."""
