"""The run folder: what one run leaves behind, and how it comes to stand there whole or not at all."""
