"""Read and edit the TFLite flatbuffer: what inspect, calibration and the quantizer stand on."""
