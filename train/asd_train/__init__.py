"""Train embedders on machine sound; simulate machines."""
