"""The files in the folders that commands write, and how a folder is recognised by one of them.

This module imports nothing, so that a command's `--help` does not load the modules that read and write these files.
"""

from __future__ import annotations

MANIFEST_FILE = "manifest.json"
MANIFEST_KEYS = frozenset({"digest", "shards", "settings"})
"""Keys that distinguish a manifest from another document with the same file name."""

MODEL_FILE = "generator.keras"
METADATA_FILE = "generator.json"
METADATA_KEYS = frozenset({"latent_size", "images_seen"})
"""Keys that distinguish a generator's metadata from another document with the same file name."""
STATE_FILE = "state.npz"
COURSE_FILE = "course.npz"

ITEMS_FILE = "generated.json"
"""Lists the files in a folder or zip of generated items, and says which generator made them."""
LATENT_FILE = "latent.json"
"""The latent that components.project found, and how near its image is."""
EXPORT_FILE = "export.json"
"""Describes an exported generator: its files, inputs, outputs and origin."""
XMP_NAMESPACE = "urn:gan-pipeline:generated:"
"""Namespace of this project's properties in the XMP packets of generated files."""
