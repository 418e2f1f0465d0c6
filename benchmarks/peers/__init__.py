"""edgekit beside other post-training quantizers: the same model, calibration and evaluation crops.

``python -m benchmarks.peers`` prints the table of a recipe; ``rows`` lists what is run.
"""
