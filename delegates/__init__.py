"""Who can run nodes: NumPy (`cpu`), CuPy (`gpu`), TensorFlow (`flex`)."""
