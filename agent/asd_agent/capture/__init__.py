"""Sources of sound: microphones and recordings, addressed by a sample counter."""
