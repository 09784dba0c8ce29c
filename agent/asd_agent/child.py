"""Run a part of the agent in a process of its own, with limits."""
