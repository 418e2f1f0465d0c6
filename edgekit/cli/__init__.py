"""The command line: one file a verb; each parses, calls the public API and renders."""
