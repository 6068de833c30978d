"""Routes of rule sets, parameters and replays."""
