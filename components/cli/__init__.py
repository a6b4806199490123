"""What the commands share: parameters, numeric options, progress, TensorFlow's settings and exit codes."""
