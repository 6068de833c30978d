"""Small tools that any part of the application may use; they know nothing of it."""
