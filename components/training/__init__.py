"""What the training command needs besides the library: identity, outputs, progress in words and records."""
