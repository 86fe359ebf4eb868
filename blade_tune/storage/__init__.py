"""A study as it is stored: database, attempts, leases, recovery, the rows of trials. Needs no torch."""
