"""Bytes <-> graph: reads and writes .tflite files, trusting nothing that it reads."""
