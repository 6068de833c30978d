"""Routes of pools, deliveries and the installation."""
