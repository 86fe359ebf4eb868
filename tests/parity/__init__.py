"""Our numbers against numbers that others' code gave (fixtures/*.json; each names its source), in float64."""
