"""Proves that the data is right: invariants, audit log, doctor, archive."""
