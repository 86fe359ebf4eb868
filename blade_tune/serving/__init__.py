"""Recommendations of a bundle over HTTP: an ASGI application, and the server that runs it."""
