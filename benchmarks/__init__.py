"""What the main job must reach, each figure beside the same libraries called directly, in one run.

``python -m benchmarks.main_job`` prints all of them; a module a figure holds how it is measured.
"""
