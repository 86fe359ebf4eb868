"""MB-STR and the layers that only it uses."""
