"""What runs on the device: microphone to decision to MQTT."""

__version__ = "0.1.0"
