"""Computes fair shares, forecasts and alarms."""
