"""Types of the API, a room per resource."""
