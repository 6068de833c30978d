"""One machine: where its system is, which secrets it keeps."""
