"""Memory bank, pooling, calibration, alarm: pure numpy, verbs `fit` and `score`."""
