"""Systems: one recipe per file; the file name is the registry."""
