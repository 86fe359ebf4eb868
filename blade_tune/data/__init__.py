"""Interaction data: sources that read it, its split, internal ids, prepared copies on disk, and training windows."""
