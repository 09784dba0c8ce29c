"""Decisions to an MQTT broker: topics, payloads and a client that never gives up."""
