"""The library: data, networks, objectives, training, evaluation. Free of orchestration, tracking and cloud."""
