"""From logs of any form to split files: unpack, read, apply the recipe, write, in bounded memory."""
