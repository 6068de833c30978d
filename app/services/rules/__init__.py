"""Rule sets: drafted, checked, activated, moved as files."""
