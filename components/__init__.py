"""One thin command per stage; a person, DVC and a Kubeflow container run the same commands."""
