"""Every sentence that users read: its template, its parameters, and its translation."""
