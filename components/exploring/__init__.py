"""The page of `components.explore`: what it offers, draws and counts, and what its server refuses."""
