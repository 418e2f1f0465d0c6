"""Float graph to float graph: the same function, but one that quantizes better."""
