"""The library: data, networks, objectives, training, evaluation. Knows no orchestration, tracking or cloud."""
