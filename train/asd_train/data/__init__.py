"""Where training sound comes from: recordings on disk and simulated machines."""
