"""Interaction data: read by a source, split, numbered, prepared once on disk, and cut into windows."""
