"""What a database needs before the first request."""
