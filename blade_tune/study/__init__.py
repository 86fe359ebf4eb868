"""Studies as they are created, opened, copied and owned; `workspace` is the one entry to stored ones."""
