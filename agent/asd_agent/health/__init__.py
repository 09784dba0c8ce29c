"""How the agent and its machine are doing."""

from asd_agent.health.system import clock_synced, rss_bytes

__all__ = ["clock_synced", "rss_bytes"]
