"""Measures how fair a business day was, and raises alarms."""
