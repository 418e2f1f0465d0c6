"""The run folder: what a run leaves behind, and how it stands there whole or not at all."""
