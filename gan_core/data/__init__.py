"""Images on disk become a validated, resized, sharded data set."""
