"""Code that the commands share: parameters, numeric options, progress and TensorFlow's settings."""
