"""Files on this machine, in a bucket or under DVC: paths, atomic outputs and transfers."""
