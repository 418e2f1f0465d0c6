"""What TensorFlow models of every kind have in common: one function with named ends."""
