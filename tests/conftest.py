"""What holds for all tests."""

import signal

from hypothesis import settings

# How long one example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell's job in the background ignores Ctrl-C, and so would each program that a test
# starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
