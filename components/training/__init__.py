"""Parts of the training command: networks, the training's identity, digests of its code, hooks and outputs."""
