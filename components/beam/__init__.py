"""Apache Beam as the engine of `prepare`: the items are divided among the workers of any Beam runner.

Only this package imports Beam. Beam has an environment of its own (requirements-image-beam.txt), because it needs
earlier versions of NumPy and Pillow.
"""
