"""One thin command a stage; a person, DVC and a Kubeflow container run the same."""
