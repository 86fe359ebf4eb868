"""MBHT and the layers that only it uses."""
