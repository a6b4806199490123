"""Trains a GAN: the objective, the state it updates, and the loop that repeats it."""
