"""Apache Beam as the engine of `prepare` and `evaluate`: the workers of any Beam runner share the items.

Only this package imports Beam. Beam has an environment of its own (requirements-image-beam.txt), because it needs
earlier versions of NumPy and Pillow.
"""
