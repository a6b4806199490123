"""Parts of the training command: the training's identity, digests of its code, hooks and outputs."""
