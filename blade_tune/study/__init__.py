"""A study that is made, opened, copied and owned; `workspace` is the one door to it."""
