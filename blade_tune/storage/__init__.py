"""Storage of studies: the database, the attempts and leases of workers, recovery, trial records. Needs no torch."""
