"""A study as it is written: definition, spaces, recipes, identity. Needs no database."""
