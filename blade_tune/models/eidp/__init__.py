"""EIDP and the attention that only it uses."""
