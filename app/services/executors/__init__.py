"""Executors: records, absences, import, synchronisation, personal data."""
