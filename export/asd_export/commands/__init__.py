"""The commands of ``asd-export``, a module each; what is heavy is imported late."""
