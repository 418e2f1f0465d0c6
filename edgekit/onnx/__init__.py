"""ONNX models: read, check, rewrite; what an .onnx really is."""
