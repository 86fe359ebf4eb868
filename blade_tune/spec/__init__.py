"""Specifications of studies: definitions, space files, recipes, fingerprints. Needs no database."""
