"""A machine breaks in the terminal: the whole path without hardware or a broker."""
