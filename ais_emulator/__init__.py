"""Plays the external system (АИС) that the balancer reports to: slow, sometimes failing, on request out of order."""
