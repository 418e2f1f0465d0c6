"""What the gate makes of damaged artefacts, and of undamaged ones.

``python -m benchmarks.damage RUN_DIR`` prints the tables of docs/damage.md; ``files`` and
``calibrations`` list what is damaged.
"""
