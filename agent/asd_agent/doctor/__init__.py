"""Examines all that the agent needs, and says how to mend what is wrong."""
