"""A model with all that it needs, verified before use, and what a site learnt."""
