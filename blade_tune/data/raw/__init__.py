"""Preparation of logs of many formats as split files, in bounded memory: unpack, read, apply a recipe, split, write."""
